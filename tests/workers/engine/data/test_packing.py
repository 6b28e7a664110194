"""Packing and order: nothing lost, nothing doubled, labels never cross an example."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.data.order import epoch_order, mix
from workers.engine.data.packing import PASS_WORTH, alike, pack, plan

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)
Sequences = list[tuple[list[int], list[int]]]
sequences = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), min_size=1, max_size=9),
    min_size=1,
    max_size=6,
)


@given(lengths=lengths, budget=st.integers(1, 100))
def test_a_plan_holds_every_sequence_once_and_keeps_the_budget(
    lengths: list[int], budget: int
) -> None:
    packs = plan(lengths, budget, packing=True)
    assert sorted(index for group in packs for index in group) == list(range(len(lengths)))
    for group in packs:
        assert len(group) == 1 or sum(lengths[i] for i in group) <= budget


@given(lengths=lengths)
def test_without_packing_each_sequence_stands_alone(lengths: list[int]) -> None:
    assert plan(lengths, 1000, packing=False) == [[i] for i in range(len(lengths))]


@given(given_=sequences)
def test_labels_are_each_examples_own_next_tokens(given_: list[list[tuple[int, int]]]) -> None:
    arrays = [
        (np.array([t for t, _ in s], np.int32), np.array([m for _, m in s], np.uint8))
        for s in given_
    ]
    made = pack(arrays)
    # the definition, token by token
    expected = []
    for (start, _), (ids, mask) in zip(pairwise(made.bounds), arrays, strict=True):
        expected += [(start + i, int(ids[i + 1])) for i in range(len(ids) - 1) if mask[i + 1]]
    assert list(zip(made.places.tolist(), made.labels.tolist(), strict=True)) == expected
    assert made.positions.tolist() == [i for ids, _ in arrays for i in range(len(ids))]
    assert made.bounds[-1] == len(made.ids)


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000), size=st.integers(1, 300))
def test_order_is_a_repeatable_permutation(seed: int, epoch: int, size: int) -> None:
    order = epoch_order(seed, epoch, size)
    assert sorted(order.tolist()) == list(range(size))
    assert order.tolist() == epoch_order(seed, epoch, size).tolist()


def test_epochs_and_seeds_differ_and_places_are_even() -> None:
    orders = [tuple(epoch_order(seed, epoch, 50)) for seed in range(10) for epoch in range(10)]
    assert len(set(orders)) == 100
    # where example 0 comes: mean of 400 uniform draws from 0..49, within four standard errors
    places = [epoch_order(s, 0, 50).tolist().index(0) for s in range(400)]
    assert abs(np.mean(places) - 24.5) < 4 * 14.4 / 20


def test_mix_matches_splitmix64() -> None:
    """First outputs of splitmix64 seeded with 0 (Vigna's splitmix64.c)."""
    assert mix(0) == 0xE220A8397B1DCDAF


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 200))
def test_texts_are_padded_together_at_the_least_cost(lengths: list[int], budget: int) -> None:
    """Against every way to cut the sorted texts into groups."""
    groups = alike(lengths, budget, packing=True, device="cpu")
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))

    def cost(parts: list[list[int]]) -> float:
        padded = [max(part) * len(part) for part in parts]
        fits = all(n <= budget or len(part) == 1 for n, part in zip(padded, parts, strict=True))
        return sum(padded) + PASS_WORTH["cpu"] * len(parts) if fits else math.inf

    ordered, count = sorted(lengths), len(lengths)
    cuts = (
        [0, *(place + 1 for place in range(count - 1) if bits >> place & 1), count]
        for bits in range(2 ** (count - 1))
    )
    least = min(cost([ordered[a:b] for a, b in pairwise(cut)]) for cut in cuts)
    assert cost([[lengths[place] for place in group] for group in groups]) == least


def test_an_accelerator_takes_padding_rather_than_another_pass() -> None:
    lengths = [4, 100, 5]
    assert alike(lengths, 1000, packing=True, device="cpu") == [[0, 2], [1]]
    assert alike(lengths, 1000, packing=True, device="cuda:0") == [[0, 2, 1]]
    assert alike(lengths, 1000, packing=False, device="cpu") == [[0], [2], [1]]
