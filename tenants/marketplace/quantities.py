"""Quantities of an order, in all and by milestones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tenants.kernel.errors import InvalidInput

MOST = Decimal(10) ** 9
MAX_MILESTONES = 50


def require_positive(value: Decimal, name: str) -> None:
    """Raises InvalidInput for what cannot be ordered, delivered or asked."""
    if not value.is_finite() or not 0 < value < MOST or value != round(value, 6):
        raise InvalidInput(f"{name} is above 0, with at most 6 decimals", param=name)


def milestones_read(given: Sequence[Mapping[str, Any]], quantity: Decimal) -> list[dict[str, Any]]:
    """Milestones as an order keeps them. Raises InvalidInput where they do not add up to it."""
    if len(given) > MAX_MILESTONES:
        raise InvalidInput(f"at most {MAX_MILESTONES} milestones", param="milestones")
    parts = [Decimal(str(each["quantity"])) for each in given]
    for part in parts:
        require_positive(part, "milestones")
    if parts and sum(parts) != quantity:
        raise InvalidInput(
            f"the milestones come to {sum(parts):f}, the order to {quantity:f}", param="milestones"
        )
    return [
        {"title": str(each["title"])[:120], "quantity": f"{part:f}", "confirmed": False}
        for each, part in zip(given, parts, strict=True)
    ]


def milestone_next(milestones: Sequence[Mapping[str, Any]], number: int | None) -> Decimal:
    """The quantity of the next milestone, which `number` (from 1) must name, where it is given.

    Raises InvalidInput.
    """
    for place, each in enumerate(milestones, 1):
        if not each["confirmed"]:
            if number not in {None, place}:
                raise InvalidInput(f"the next milestone is {place}", param="milestone")
            return Decimal(each["quantity"])
    raise InvalidInput("this order has no milestone to deliver", param="milestone")
