"""Whose turn it is: no tenant waits for another's many sequences."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from workers.serving.runtime.turns import Turns


def rounds(turns: Turns[str], count: int) -> list[str]:
    """`count` turns in which every item taken is put back."""
    taken = []
    for _ in range(count):
        group, item = turns.take()  # type: ignore[misc]
        taken.append(item)
        turns.add(group, item)
    return taken


def test_tenants_take_turns_and_so_do_their_sequences() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "a3", "b1"):
        turns.add(item[0], item)
    assert rounds(turns, 8) == ["a1", "b1", "a2", "b1", "a3", "b1", "a1", "b1"]


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 6), min_size=1, max_size=6))
def test_every_tenant_gets_the_same_and_nobody_is_left_out(sizes: dict[str, int]) -> None:
    # given tenants with different numbers of sequences
    turns: Turns[str] = Turns()
    for name, size in sizes.items():
        for number in range(size):
            turns.add(name, f"{name}:{number}")
    # when as many turns pass as go round each tenant's sequences
    per_tenant = 60
    taken = rounds(turns, per_tenant * len(sizes))
    # then each tenant had its equal part, spread evenly over its own sequences
    owners = Counter(item.rsplit(":", 1)[0] for item in taken)
    assert set(owners.values()) == {per_tenant}
    items = Counter(taken)
    for name, size in sizes.items():
        own = [items[f"{name}:{number}"] for number in range(size)]
        assert max(own) - min(own) <= 1


def test_an_item_that_is_out_is_not_handed_out_twice() -> None:
    turns: Turns[str] = Turns()
    turns.add("a", "a1")
    assert turns.take() == ("a", "a1")
    assert turns.take() is None
    assert len(turns) == 0
