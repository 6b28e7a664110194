"""Held-out rows: decided by content alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.assets.splits import held_out, is_held_out

ROWS = [f'{{"text": "row {n}"}}'.encode() for n in range(20_000)]


def chosen(rows: list[bytes], **fields: float) -> set[bytes]:
    given_fields = {"fraction": 0.2, **fields}
    return {row for out, row in held_out(rows, **given_fields) if out}  # type: ignore[arg-type]


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.2, 0.5, 1.0])
def test_about_the_fraction_is_held_out(fraction: float) -> None:
    """Within four standard deviations of a fair draw."""
    expected, n = fraction, len(ROWS)
    found = len(chosen(ROWS, fraction=fraction)) / n

    assert abs(found - expected) <= 4 * (expected * (1 - expected) / n) ** 0.5


def test_order_and_company_change_nothing() -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))

    assert chosen(shuffled) == chosen(ROWS)
    assert chosen(ROWS[:500]) == chosen(ROWS) & set(ROWS[:500])


def test_a_larger_fraction_holds_out_the_same_and_more() -> None:
    assert chosen(ROWS, fraction=0.1) < chosen(ROWS, fraction=0.3)


def test_another_seed_is_another_split() -> None:
    assert chosen(ROWS, seed=1) != chosen(ROWS, seed=2)


@given(st.binary(min_size=1).filter(bytes.strip), st.integers(0, 2**32))
def test_equal_rows_fall_on_one_side_whatever_space_surrounds_them(row: bytes, seed: int) -> None:
    assert is_held_out(row, fraction=0.5, seed=seed) == is_held_out(
        row.strip() + b"\r\n", fraction=0.5, seed=seed
    )


def test_blank_rows_are_no_rows() -> None:
    assert list(held_out([b"\n", b"  "], fraction=1)) == []


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_is_between_nothing_and_all(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        is_held_out(b"x", fraction=fraction)
