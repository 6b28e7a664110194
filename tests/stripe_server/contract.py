"""The operations that the installed SDK knows: method, path, and the typed parameters of each.

Read from the source of its services, which are generated from Stripe's OpenAPI specification; each
operation stands there twice (sync and async) and is taken once, from the sync method.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import stripe

ROOT = Path(stripe.__file__).parent


@dataclass(frozen=True)
class Operation:
    """One request that the API takes. `params`: (module, name) of its TypedDict, if it has any."""

    method: str
    path: str  # "/v1/customers/{customer}"
    params: tuple[str, str] | None

    @property
    def is_v2(self) -> bool:
        return self.path.startswith("/v2/")

    @cached_property
    def typed(self) -> type | None:
        """The TypedDict of the parameters."""
        if self.params is None:
            return None
        module, name = self.params
        found: type = getattr(import_module(module), name)
        return found


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of every service of the SDK, v1 and v2, each once."""
    found: dict[tuple[str, str], Operation] = {}
    for path in sorted(ROOT.rglob("_*_service.py")):
        for operation in _operations_of(path):
            found.setdefault((operation.method, operation.path), operation)
    return tuple(found.values())


def operation_for(method: str, path: str) -> tuple[Operation, Mapping[str, str]] | None:
    """The operation that a request asks for, and the ids in its path."""
    for operation, pattern in _patterns():
        if operation.method == method and (match := pattern.fullmatch(path)):
            return operation, match.groupdict()
    return None


@cache
def _patterns() -> list[tuple[Operation, re.Pattern[str]]]:
    """Literal paths before those with an id in the same place: `/search` is no id."""
    ordered = sorted(operations(), key=lambda o: (o.path.count("{"), o.path))
    return [(o, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", o.path))) for o in ordered]


def _operations_of(path: Path) -> Iterator[Operation]:
    tree = ast.parse(path.read_text())
    modules = {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    for method in ast.walk(tree):
        if isinstance(method, ast.FunctionDef):
            request = _request_in(method)
            if request is not None:
                name = _params_name(method)
                module = modules.get(name or "")
                yield Operation(*request, params=(module, name) if module and name else None)


def _request_in(method: ast.FunctionDef) -> tuple[str, str] | None:
    for node in ast.walk(method):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in {"_request", "_request_stream"} and len(node.args) >= 2:
            verb, path = _text(node.args[0]), _text(node.args[1])
            if verb and path:
                return verb.upper(), path
    return None


def _text(node: ast.expr) -> str:
    """A string, or the template of a formatted one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _text(node.func.value)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _params_name(method: ast.FunctionDef) -> str | None:
    """`X` of `params: "X"` or `params: Optional["X"]`."""
    for argument in method.args.args:
        if argument.arg == "params" and argument.annotation is not None:
            named: list[Any] = [
                n.value for n in ast.walk(argument.annotation) if isinstance(n, ast.Constant)
            ]
            return next((n for n in named if isinstance(n, str)), None)
    return None
