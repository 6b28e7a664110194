"""Sharing a pass: when the measured profile says that it pays, and what memory it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.engine.factories import spec
from workers.engine.profiles import Profile, memory_bytes
from workers.engine.shapes import Shape
from workers.engine.sharing import Sharer, alone_s, pays, shared_memory_bytes, together_s

SHAPE = Shape(parameters=10_000_000, layers=8, hidden=256, vocabulary=8192)
PROFILE = Profile(
    device="cpu",
    dtype="float32",
    threads=1,
    flops=50e9,
    update_s=0.002,
    pack_s=0.02,
    load_s=1.0,
    spread=0.15,
    segment_s=0.003,
)
PASS = 4096


def sharer(tokens: float, **changes: object) -> Sharer:
    return Sharer(spec(**changes), tokens)


def worth(sharers: list[Sharer], newcomer: Sharer, profile: Profile = PROFILE) -> bool:
    return pays(sharers, newcomer, SHAPE, profile, pass_tokens=PASS)


def test_small_updates_share_and_large_ones_do_not() -> None:
    """By hand: a member of 47 tokens saves 20 - 3 ms of about 20 + 3.8 + 2; one of 20,000 tokens
    saves at most 1% of two seconds.
    """
    assert worth([sharer(47)], sharer(47))
    assert not worth([sharer(20_000)], sharer(20_000, micro_batch_tokens=32_768))


def test_a_pass_that_is_full_already_saves_nothing() -> None:
    full = [sharer(PASS / 2), sharer(PASS / 2)]
    assert not worth(full, sharer(2000))


def test_what_was_not_measured_does_not_pay() -> None:
    assert not worth([sharer(47)], sharer(47), replace(PROFILE, segment_s=None))


def test_parts_that_cost_more_than_a_pass_do_not_pay() -> None:
    assert not worth([sharer(47)], sharer(47), replace(PROFILE, segment_s=0.03))


def test_two_alike_cost_what_the_formula_says() -> None:
    one = alone_s(sharer(100), SHAPE, PROFILE)
    both = together_s([sharer(100), sharer(100)], SHAPE, PROFILE, pass_tokens=PASS)
    assert both == pytest.approx(2 * one - 0.02 + 2 * 0.003)


@given(st.lists(st.floats(1, 3000), min_size=1, max_size=12), st.floats(1, 3000))
def test_who_joins_where_it_pays_makes_all_cheaper_in_sum(others: list[float], own: float) -> None:
    sharers, newcomer = [sharer(n) for n in others], sharer(own)
    if worth(sharers, newcomer):
        together = together_s([*sharers, newcomer], SHAPE, PROFILE, pass_tokens=PASS)
        before = together_s(sharers, SHAPE, PROFILE, pass_tokens=PASS)
        assert together < before + alone_s(newcomer, SHAPE, PROFILE)


def test_the_base_is_held_once() -> None:
    one = spec(micro_batch_tokens=PASS)
    alone = memory_bytes(one, SHAPE)
    assert shared_memory_bytes([one], SHAPE, pass_tokens=PASS) == alone
    eight = shared_memory_bytes([one] * 8, SHAPE, pass_tokens=PASS)
    assert alone < eight < alone + 8 * 4 * SHAPE.parameters
