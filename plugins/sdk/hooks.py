"""The hooks as data: names, argument and return types, read off the specifications."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from plugins.sdk import hookspecs


@dataclass(frozen=True)
class Hook:
    """One hook. `arguments` maps name to type in the order of the specification."""

    name: str
    arguments: Mapping[str, Any]
    returns: Any
    signature: str  # as its documentation shows it
    doc: str


@functools.cache
def hooks() -> Mapping[str, Hook]:
    """Every hook by name, in the order of hookspecs.py."""
    own = (f for f in vars(hookspecs).values() if isinstance(f, FunctionType))
    return {f.__name__: _hook(f) for f in own if hasattr(f, "breakwater_spec")}


@functools.cache
def declaring() -> tuple[str, ...]:
    """Hooks that say what a plugin has, and act on nothing: those without arguments."""
    return tuple(name for name, hook in hooks().items() if not hook.arguments)


def _hook(function: FunctionType) -> Hook:
    types = typing.get_type_hints(function)
    returns = types.pop("return")
    written = {name: str(text).replace("'", '"') for name, text in function.__annotations__.items()}
    arguments = ", ".join(f"{name}: {written[name]}" for name in types)
    signature = f"{function.__name__}({arguments}) -> {written['return']}"
    return Hook(function.__name__, types, returns, signature, inspect.getdoc(function) or "")
