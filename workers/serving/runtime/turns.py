"""Whose turn it is: one step each, around the tenants, and around each tenant's own sequences."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items in groups. `take` goes around the groups, so a group's many items cost others nothing.

    A taken item is out until it is put back with `add`.
    """

    def __init__(self) -> None:
        self._groups: OrderedDict[str, deque[T]] = OrderedDict()

    def add(self, group: str, item: T) -> None:
        """Put an item at the end of its group; a new group goes to the end of the round."""
        self._groups.setdefault(group, deque()).append(item)

    def take(self) -> tuple[str, T] | None:
        """The next group's first item, or None where nothing waits."""
        if not self._groups:
            return None
        group, items = self._groups.popitem(last=False)
        item = items.popleft()
        if items:
            self._groups[group] = items
        return group, item

    def __len__(self) -> int:
        return sum(len(items) for items in self._groups.values())
