"""What a search chooses, by hand-made candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.compression.candidates import (
    Candidate,
    candidates_of,
    cost,
    excess,
    front,
    next_finalist,
    recommend,
)
from workers.engine.compression.specs import TargetSpec

TARGET = TargetSpec(latency=0.5, quality_loss=0.1, finalists=2)


def candidate(latency: float, loss: float, *, size: float = 1.0) -> Candidate:
    return Candidate(0.5, "wanda", "none", latency, size, loss, is_measured=True)


def test_every_combination_once() -> None:
    target = TargetSpec(ratios=(0.0, 0.5), scorers=("wanda", "taylor"))
    found = [c.key for c in candidates_of(target)]
    assert (0.0, "wanda", "none") not in found  # the dense model itself
    assert len(found) == len(set(found)) == 5


def test_the_cheapest_within_the_bound_is_recommended() -> None:
    fast, good, slow = candidate(0.3, 0.2), candidate(0.45, 0.09), candidate(0.8, 0.01)
    choice = recommend([slow, fast, good], TARGET)
    assert (choice.candidate, choice.reached, choice.limit) == (good, True, "")


def test_what_limits_a_target_that_is_not_reached() -> None:
    choice = recommend([candidate(0.3, 0.2), candidate(0.8, 0.01)], TARGET)
    assert not choice.reached
    assert choice.candidate.latency == 0.8
    assert "takes 0.80 of the dense latency" in choice.limit
    choice = recommend([candidate(0.3, 0.2), candidate(0.4, 0.15)], TARGET)
    assert choice.candidate.quality_loss == 0.15
    assert choice.limit.startswith("quality: no candidate keeps it within 10%")


def measure(
    proxies: list[Candidate], truth: Mapping[float, float], target: TargetSpec
) -> list[float]:
    """The ratios that a search measures, in order; `truth` is what each loses in the end."""
    measured: list[Candidate] = []
    while (found := next_finalist(proxies, measured, target)) is not None:
        measured.append(replace(found, quality_loss=truth[found.ratio], is_measured=True))
    return [c.ratio for c in measured]


def line(ratios: Iterable[float]) -> list[Candidate]:
    """Proxies whose cost falls and whose loss grows with the ratio."""
    return [Candidate(r, "wanda", "none", 1 - r, 1 - r, 2 * r) for r in ratios]


@given(st.integers(0, 15), st.integers(5, 16))
def test_bisection_finds_the_edge_of_the_bound(edge: int, finalists: int) -> None:
    ratios = [n / 20 for n in range(1, 17)]
    target = TargetSpec(quality_loss=0.1, finalists=finalists)
    truth = {r: 0.0 if place <= edge else 0.5 for place, r in enumerate(ratios)}
    assert ratios[edge] in measure(line(ratios), truth, target)[:5]


def test_the_last_finalist_is_the_best_there_is_where_nothing_kept_the_bound() -> None:
    truth = {0.2: 0.05, 0.4: 0.3, 0.6: 0.4, 0.8: 0.5}
    target = TargetSpec(quality_loss=0.1, finalists=2)
    assert measure(line(truth), truth, target) == [0.4, 0.2]


def test_measurements_left_over_go_to_what_would_be_cheaper() -> None:
    truth = {0.2: 0.05, 0.4: 0.06, 0.6: 0.4, 0.7: 0.09}
    off_the_front = Candidate(0.7, "random", "none", 0.45, 0.45, 1.3)
    target = TargetSpec(quality_loss=0.1, finalists=3)
    proxies = [*line([0.2, 0.4, 0.6]), off_the_front]
    assert measure(proxies, truth, target) == [0.4, 0.6, 0.7]


def test_bytes_alone_are_the_cost_where_only_they_are_asked_for() -> None:
    target = TargetSpec(bytes=0.5)
    assert cost(candidate(0.9, 0, size=0.4), target) == 0.4
    assert excess(candidate(0.9, 0, size=0.4), target) == pytest.approx(0.8)


@given(st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_nobody_on_the_front_is_beaten_and_everybody_else_is(
    pairs: list[tuple[float, float]],
) -> None:
    every = [candidate(latency, loss) for latency, loss in pairs]
    best = front(every, TARGET)

    def beats(a: Candidate, b: Candidate) -> bool:
        no_worse = a.latency <= b.latency and a.quality_loss <= b.quality_loss
        return no_worse and (a.latency, a.quality_loss) != (b.latency, b.quality_loss)

    assert not any(beats(a, b) for a in every for b in best)
    for other in every:
        assert other in best or any(beats(a, other) for a in best)
