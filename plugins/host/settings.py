"""A tenant's settings of a plugin against the JSON Schema in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.sdk.manifest import Manifest


def settings_wrong(manifest: Manifest, settings: Mapping[str, Any]) -> str | None:
    """What is missing or wrong, for whoever enables the plugin; None where all is well."""
    if not manifest.settings:
        return f"settings: {min(settings)!r} is not one of its settings" if settings else None
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(manifest.settings).iter_errors(dict(settings))
    first = min(errors, key=lambda error: (len(error.path), error.message), default=None)
    if first is None:
        return None
    return f"{'.'.join(['settings', *map(str, first.path)])}: {first.message}"
