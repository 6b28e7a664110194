"""What a search chooses, by hand-made candidates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.compression.candidates import (
    Candidate,
    candidates_of,
    cost,
    excess,
    finalists,
    front,
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


def test_finalists_reach_the_target_or_come_nearest() -> None:
    near, far, reach = candidate(0.6, 0.0), candidate(0.9, 0.0), candidate(0.4, 0.3)
    assert finalists([far, near, reach], TARGET) == [reach, near]


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
