"""A tenant's settings of a plugin against the JSON Schema in its manifest: a stranger's words.

A schema refers to nothing outside of itself, so that none makes the platform open an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plugins.sdk.manifest import Manifest

_UNUSABLE = "the schema of its settings cannot be used"


def settings_wrong(manifest: Manifest, settings: Mapping[str, Any]) -> str | None:
    """What is missing or wrong, for whoever enables the plugin; None where all is well."""
    if not manifest.settings:
        return f"settings: {min(settings)!r} is not one of its settings" if settings else None
    from jsonschema import Draft202012Validator
    from referencing.jsonschema import EMPTY_REGISTRY

    validator = Draft202012Validator(manifest.settings, registry=EMPTY_REGISTRY)
    try:
        errors = list(validator.iter_errors(dict(settings)))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's schema comes to is its own
        return f"settings: {_UNUSABLE}: {type(error).__name__}"
    first = min(errors, key=lambda error: (len(error.path), error.message), default=None)
    if first is None:
        return None
    return f"{'.'.join(['settings', *map(str, first.path)])}: {first.message}"


def schema_wrong(schema: Mapping[str, Any]) -> str | None:
    """Why settings cannot be held to a manifest's schema; None where they can."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
        outside = [ref for ref in _references(schema) if not ref.startswith("#")]
    except SchemaError as error:
        return f"no JSON Schema (2020-12): {error.message}"
    except RecursionError:
        return "it is nested too deeply"
    if patterned := [each for each in _objects(schema) if _is_pattern(each)]:
        key = "pattern" if "pattern" in patterned[0] else "patternProperties"
        return f"{key} is not allowed: a regular expression may run for hours; check it yourself"
    if outside:
        return f"it refers to {outside[0]!r}; write what it needs into the schema ('#/$defs/…')"
    return None


def _is_pattern(part: Mapping[str, Any]) -> bool:
    """Whether a part is a keyword that runs a regular expression, no property of that name."""
    return isinstance(part.get("pattern"), str) or "patternProperties" in part


def _references(part: Any) -> Iterator[str]:
    for inside in _objects(part):
        named = (inside.get(key) for key in ("$ref", "$dynamicRef", "$id"))
        yield from (each for each in named if isinstance(each, str))


def _objects(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        yield part
        for inside in part.values():
            yield from _objects(inside)
    elif isinstance(part, list | tuple):
        for inside in part:
            yield from _objects(inside)
