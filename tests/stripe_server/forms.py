"""Form encoding as the SDK sends it: `items[0][price]=…` is a list of objects."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl


def form_decode(text: str) -> dict[str, Any]:
    """Nested dicts and lists of strings."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, rest = name.partition("[")[0], re.findall(r"\[([^\]]*)\]", name)
        _put(root, [head, *rest], value)
    return {name: _listed(value) for name, value in root.items()}


def _put(into: dict[str, Any], keys: list[str], value: str) -> None:
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        name = str(len(into)) if key == "" else key
        if following is None:
            into[name] = value
            return
        nested = into.setdefault(name, {})
        if not isinstance(nested, dict):
            nested = into[name] = {}
        into = nested


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and list(value) == [str(n) for n in range(len(value))]:
        return [_listed(part) for part in value.values()]
    return {name: _listed(part) for name, part in value.items()}
