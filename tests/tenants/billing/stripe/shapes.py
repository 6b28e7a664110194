"""The shapes of Stripe's answers, by kind of object: so that two targets can be compared.

A shape is the set of an object's fields with the kinds of their values. Each run writes its own
target's; where both are there, what differs in fields that both know is written beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stripe import HTTPClient

Shapes = dict[str, dict[str, list[str]]]


@contextmanager
def recorded(folder: Path, target: str) -> Iterator[None]:
    """Note the shapes of all that is answered inside."""
    shapes: Shapes = {}
    original = HTTPClient.request_with_retries

    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(self, *args, **kwargs)
        _note(shapes, json.loads(answer[0]))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPClient, "request_with_retries", asked)
        yield
    _keep(folder, target, shapes)


def difference(ours: Shapes, theirs: Shapes) -> dict[str, Any]:
    """By kind: fields that the server on loopback has and Stripe has not, or of other kinds."""
    found: dict[str, Any] = {}
    for kind in sorted(ours.keys() & theirs.keys()):
        unknown = sorted(ours[kind].keys() - theirs[kind].keys())
        other = {
            name: [ours[kind][name], theirs[kind][name]]
            for name in sorted(ours[kind].keys() & theirs[kind].keys())
            if not set(ours[kind][name]) & set(theirs[kind][name])
        }
        if unknown or other:
            found[kind] = {"not in Stripe's": unknown, "of another kind": other}
    return found


def _note(shapes: Shapes, value: Any) -> None:
    if isinstance(value, list):
        for one in value:
            _note(shapes, one)
    elif isinstance(value, dict):
        for name, part in value.items():
            if kind := value.get("object"):
                kinds = shapes.setdefault(str(kind), {}).setdefault(name, [])
                if type(part).__name__ not in kinds:
                    kinds.append(type(part).__name__)
            _note(shapes, part)


def _keep(folder: Path, target: str, shapes: Shapes) -> None:
    """Add to what earlier runs of this target have seen."""
    file = folder / f"stripe-shapes-{target}.json"
    known: Shapes = json.loads(file.read_text()) if file.exists() else {}
    for kind, fields in shapes.items():
        for name, kinds in fields.items():
            before = known.setdefault(kind, {}).setdefault(name, [])
            before += [one for one in kinds if one not in before]
    file.write_text(json.dumps(known, indent=1, sort_keys=True))
    files = {name: folder / f"stripe-shapes-{name}.json" for name in ("loopback", "test-mode")}
    if all(one.exists() for one in files.values()):
        told = {name: json.loads(one.read_text()) for name, one in files.items()}
        differs = difference(told["loopback"], told["test-mode"])
        (folder / "stripe-shapes-difference.json").write_text(json.dumps(differs, indent=1))
