"""A request's parameters against the SDK's types, refused in Stripe's words.

An enum stands in the SDK as `Literal['a', 'b'] | str`: the `str` is for values that Stripe may add
later, and is not taken here. `Literal['']` stands for a value that may be unset.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union

from stripe import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import is_typeddict

from tests.stripe_server.errors import Refused

_UNNAMED = {"StripeContext": object, "Mapping": Mapping}  # of headers: the SDK does not import them
_OPTIONS = frozenset(RequestOptions.__annotations__)  # headers, which ride along in the same dict


def check(typed: type | None, given: Mapping[str, Any], *, is_json: bool) -> dict[str, Any]:
    """`given` in Python's types. Raises Refused for what the operation does not take.

    `is_json`: values have types of their own (v2); else they are text (v1's form encoding).
    """
    if typed is None:
        typed = dict
    found: dict[str, Any] = _Check(is_json).object(typed, given, "")
    return found


@cache
def fields_of(typed: type) -> Mapping[str, Any]:
    """A TypedDict's own fields and their types, without what becomes a header."""
    return {
        name: hint
        for name, hint in typing.get_type_hints(typed, localns=_UNNAMED).items()
        if name not in _OPTIONS or name in typed.__annotations__
    }


@cache
def required_of(typed: type) -> frozenset[str]:
    required: frozenset[str] = typed.__required_keys__  # type: ignore[attr-defined]
    return required & fields_of(typed).keys()


class _Check:
    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json

    def object(self, typed: Any, given: Any, path: str) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise Refused("Invalid object", param=path)
        if not is_typeddict(typed):
            return {name: self.free(value) for name, value in given.items()}
        fields = fields_of(typed)
        for name in given:
            if name not in fields:
                raise _unknown(_under(path, name))
        for name in sorted(required_of(typed)):
            if name not in given:
                raise Refused(
                    f"Missing required param: {_under(path, name)}.",
                    code="parameter_missing",
                    param=_under(path, name),
                )
        return {n: self.value(fields[n], v, _under(path, n)) for n, v in given.items()}

    def free(self, value: Any) -> Any:
        return value

    def value(self, hint: Any, given: Any, path: str) -> Any:
        members = _members(hint)
        if any(m is Any or m is UntypedStripeObject for m in map(_plain, members)):
            return given
        if isinstance(given, Mapping):
            return self.mapping(members, given, path)
        if isinstance(given, list):
            return self.array(members, given, path)
        return self.scalar(members, given, path)

    def mapping(self, members: list[Any], given: Mapping[str, Any], path: str) -> Any:
        for member in members:
            if is_typeddict(member) or _plain(member) is dict:
                return self.object(member, given, path)
        if any(_plain(m) is list for m in members):
            raise Refused("Invalid array", param=path)
        raise Refused(f"Invalid string: {dict(given)}", param=path)

    def array(self, members: list[Any], given: list[Any], path: str) -> Any:
        for member in members:
            if _plain(member) is list:
                (part,) = typing.get_args(member) or (Any,)
                return [self.value(part, one, f"{path}[{n}]") for n, one in enumerate(given)]
        if any(is_typeddict(m) or _plain(m) is dict for m in members):
            raise Refused("Invalid object", param=path)
        raise Refused(f"Invalid string: {given}", param=path)

    def scalar(self, members: list[Any], given: Any, path: str) -> Any:
        allowed = [value for m in members for value in _literals(m)]
        if given in allowed and not isinstance(given, bool):
            return given
        choices = [value for value in allowed if value != ""]
        kinds = [m for m in members if not _literals(m)]
        if choices and str in kinds:
            kinds.remove(str)
        for kind in kinds:
            parsed = self.parsed(kind, given, path)
            if parsed is not None:
                return parsed
        raise _mistyped(choices, kinds, given, path)

    def parsed(self, kind: Any, given: Any, path: str) -> Any:
        if self.is_json:
            return _json_value(kind, given)
        if kind is str and given == "":
            name = path.rpartition("[")[2].rstrip("]")
            raise Refused(
                f"You passed an empty string for '{path}'. We assume empty values are an attempt "
                f"to unset a parameter; however '{name}' cannot be unset.",
                code="parameter_invalid_empty",
                param=path,
            )
        if _plain(kind) is list and given == "":
            return []  # the SDK's way to say that a list is empty
        return _text_value(kind, given)


def _text_value(kind: Any, given: str) -> Any:
    if kind is str:
        return given
    if kind is bool:
        return {"true": True, "false": False}.get(given)
    if kind is int:
        return int(given) if re.fullmatch(r"-?\d{1,18}", given) else None
    if kind in {float, Decimal}:
        try:
            number = Decimal(given)
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    return None


def _json_value(kind: Any, given: Any) -> Any:
    if kind in {int, float, Decimal} and isinstance(given, bool):
        return None
    if kind in {float, Decimal} and isinstance(given, (int, float, str)):
        return _text_value(Decimal, str(given))
    if kind in {str, int, bool}:
        return given if isinstance(given, kind) else None
    return None


def _members(hint: Any) -> list[Any]:
    """The alternatives of a type."""
    origin = typing.get_origin(hint)
    if origin in {NotRequired, Required}:
        return _members(typing.get_args(hint)[0])
    if origin in {Union, types.UnionType}:
        return [m for part in typing.get_args(hint) for m in _members(part)]
    return [] if hint is type(None) else [hint]


def _plain(hint: Any) -> Any:
    return typing.get_origin(hint) or hint


def _literals(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _under(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _unknown(path: str) -> Refused:
    return Refused(f"Received unknown parameter: {path}", code="parameter_unknown", param=path)


def _mistyped(choices: list[Any], kinds: list[Any], given: Any, path: str) -> Refused:
    if choices:
        *most, last = map(str, choices)
        said = f"{', '.join(most)} or {last}" if most else last
        return Refused(f"Invalid {path}: must be one of {said}", param=path)
    for kind, name, code in (
        (int, "integer", "parameter_invalid_integer"),
        (bool, "boolean", ""),
        (Decimal, "decimal", ""),
        (float, "decimal", ""),
        (str, "string", ""),
    ):
        if kind in kinds:
            return Refused(f"Invalid {name}: {given}", code=code, param=path)
    is_list = any(_plain(kind) is list for kind in kinds)
    return Refused("Invalid array" if is_list else "Invalid object", param=path)
