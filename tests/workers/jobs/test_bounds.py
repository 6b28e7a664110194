"""Bounds of a pass's tokens, against the reader that really cuts the examples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.engine.data.readers import RowError, _fitted
from workers.jobs.bounds import Measured, Range, tokens_of_a_pass

# an example: its length, and from which token on it is learned
EXAMPLES = st.lists(
    st.tuples(st.integers(2, 60), st.integers(0, 59)).filter(lambda e: e[1] < e[0]), min_size=1
)


def encoded(example: tuple[int, int]) -> tuple[list[int], list[int]]:
    length, learned = example
    return [1] * length, [0] * learned + [1] * (length - learned)


def computed(examples: list[tuple[int, int]], policy: str, limit: int) -> int | None:
    """Tokens that a pass really computes; None where the data are refused."""
    total = 0
    for example in examples:
        try:
            total += sum(len(e.ids) for e in _fitted(1, encoded(example), policy, limit))
        except RowError:
            return None
    return total


@given(EXAMPLES, st.sampled_from(["error", "truncate", "split"]), st.integers(2, 70))
def test_what_is_computed_lies_within_the_bounds(
    examples: list[tuple[int, int]], policy: str, limit: int
) -> None:
    real = computed(examples, policy, limit)
    if real is None:
        return
    data = Measured(
        examples=len(examples),
        tokens=sum(length for length, _ in examples),
        loss_tokens=sum(length - learned for length, learned in examples),
        longest=max(length for length, _ in examples),
    )
    found = tokens_of_a_pass(data, policy=policy, limit=limit)
    assert found.low <= real <= found.high
    assert found.low <= found.expected <= found.high
    if data.longest <= limit:
        assert found == Range(real, real, real)


def test_a_range_is_multiplied_by_the_epochs() -> None:
    assert Range(1, 2, 3).times(4) == Range(4, 8, 12)
