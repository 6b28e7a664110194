"""Checks of one settings field each; a refusal names the field, what is allowed and the remedy."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workers.engine.errors import EngineError


class SpecError(EngineError):
    """A settings field has a value that cannot be used.

    `field` is its dotted name (`lora.rank`).
    """

    code = "invalid_spec"
    customers = True

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def whole(field: str, value: Any, low: int, high: int, unit: str) -> None:
    """Refuse all but a whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SpecError(
            field, f"{value!r} is not allowed; give a whole number from {low} to {high} ({unit})."
        )


def real(
    field: str, value: Any, low: float, high: float, unit: str, *, open_low: bool = False
) -> None:
    """Refuse all but a finite number from `low` (excluded if `open_low`) to `high`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if (
        not number
        or not low <= value <= high  # false for NaN; exact for whole numbers beyond a float
        or (open_low and value == low)
    ):
        bound = f"above {low:g} and at most {high:g}" if open_low else f"from {low:g} to {high:g}"
        raise SpecError(field, f"{value!r} is not allowed; give a finite number {bound} ({unit}).")


def one_of(field: str, value: Any, allowed: Collection[str]) -> None:
    """Refuse all but one of the `allowed` words."""
    if not isinstance(value, str) or value not in allowed:
        raise SpecError(
            field, f"{value!r} is not allowed; choose one of {', '.join(sorted(allowed))}."
        )


def truth(field: str, value: Any) -> None:
    """Refuse all but true and false."""
    if not isinstance(value, bool):
        raise SpecError(field, f"{value!r} is not allowed; give true or false.")


def words(field: str, value: Any, *, at_most: int, longest: int) -> None:
    """Refuse all but a tuple of at most `at_most` strings of 1 to `longest` characters."""
    good = isinstance(value, tuple) and len(value) <= at_most
    if not good or not all(isinstance(w, str) and 0 < len(w) <= longest for w in value):
        raise SpecError(
            field,
            f"{value!r} is not allowed; give a list of at most {at_most} texts "
            f"of 1 to {longest} characters.",
        )


def known_keys(where: str, given: Any, allowed: Collection[str]) -> None:
    """Refuse anything but a JSON object whose keys are all `allowed`."""
    if not isinstance(given, dict):
        raise SpecError(where or "spec", f"{given!r} is not allowed; give a JSON object.")
    for key in given:
        if key not in allowed:
            name = f"{where}.{key}" if where else str(key)
            raise SpecError(
                name, f"there is no such setting; known are {', '.join(sorted(allowed))}."
            )
