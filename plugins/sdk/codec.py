"""Contracts to JSON and back: what arrives is what its type says, or an error says where."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Union, get_args, get_origin

from plugins.sdk.errors import ContractError

LARGEST_INT = 2**63
LONGEST_DECIMAL = 64  # characters
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_json(value: Any) -> Any:
    """Return plain JSON data. Raises ContractError for what is no contract, NaN or infinity."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError(f"{value} is no number that can be told")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ContractError(f"a {type(value).__name__} is no contract of the SDK")


def from_json(kind: Any, value: Any, where: str = "value") -> Any:  # noqa: PLR0911 - one a shape
    """Return `value` as `kind`. Raises ContractError with the place of what does not fit."""
    origin = get_origin(kind)
    if kind is Any:
        return _plain(value, where)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), value, where)
    if origin is Literal:
        _expect(value in get_args(kind), kind, value, where)
        return value
    if origin is tuple:
        _expect(isinstance(value, list | tuple), kind, value, where)
        item = get_args(kind)[0]
        if item is Decimal and (numbers := _decimals(value)) is not None:
            return numbers
        return tuple(from_json(item, part, f"{where}[{i}]") for i, part in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), kind, value, where)
        item = get_args(kind)[1]
        return {
            _text(key, where): from_json(item, part, f"{where}.{key}")
            for key, part in value.items()
        }
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast("type", kind), value, where)
    return _scalar(kind, value, where)


@functools.cache
def field_types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    reasons = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return from_json(kind, value, where)
        except ContractError as error:
            reasons.append(str(error))
    raise ContractError(reasons[-1])


def _dataclass(kind: type, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), kind, value, where)
    hints = field_types(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise ContractError(f"{where}.{unknown[0]}: {kind.__name__} has no such field")
    given = {name: from_json(hints[name], part, f"{where}.{name}") for name, part in value.items()}
    try:
        return kind(**given)
    except TypeError as error:
        raise ContractError(f"{where}: {error}") from error


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Decimal:
        return _decimal(value, where)
    if kind is float:
        return _float(value, where)
    if kind is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
        _expect(fits and abs(value) < LARGEST_INT, kind, value, where)
        return value
    if kind is type(None):
        kind = types.NoneType
    _expect(isinstance(value, kind), kind, value, where)
    return _text(value, where) if kind is str else value


def _plain(value: Any, where: str) -> Any:
    """`value`, where it is JSON through and through: no date and no infinity of TOML's."""
    if isinstance(value, dict):
        return {_text(key, where): _plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{where}[{i}]") for i, part in enumerate(value)]
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, float):
        return _scalar(float, value, where)
    _expect(value is None or isinstance(value, int), "JSON", value, where)
    return value


def _float(value: Any, where: str) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        number = float(value) if fits else math.nan
    except OverflowError:  # an integer past the largest float
        number = math.inf
    _expect(math.isfinite(number), float, value, where)
    return number


def _text(value: Any, where: str) -> str:
    """`value`, where a database can keep it: no NUL, and no half of a surrogate pair."""
    _expect(isinstance(value, str), str, value, where)
    text: str = value
    if "\0" in text or (not text.isascii() and _SURROGATE.search(text)):
        raise ContractError(f"{where}: {text[:60]!r} has a character that is no text")
    return text


def _decimal(value: Any, where: str) -> Decimal:
    _expect(isinstance(value, str) and len(value) <= LONGEST_DECIMAL, Decimal, value, where)
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    _expect(number.is_finite(), Decimal, value, where)
    return number


def _decimals(values: Sequence[Any]) -> tuple[Decimal, ...] | None:
    """All of them at once, for a campaign has thousands; None where one fits not, to be named."""
    if not all(type(value) is str and len(value) <= LONGEST_DECIMAL for value in values):
        return None
    try:
        numbers = tuple(map(Decimal, values))
    except InvalidOperation:
        return None
    return numbers if all(map(Decimal.is_finite, numbers)) else None


def _expect(fits: bool, kind: Any, value: Any, where: str) -> None:  # noqa: FBT001 - a condition
    if not fits:
        name = getattr(kind, "__name__", str(kind))
        raise ContractError(f"{where}: expected {name}, got {str(value)[:60]!r}")
