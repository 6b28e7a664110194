"""Names of models that tenants make: `ft:base:organisation:suffix:id`, and parts. Pure."""

from __future__ import annotations

import re

from tenants.kernel.errors import InvalidInput

_SUFFIX = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_ID_LENGTH = 8


def clean_suffix(suffix: str) -> str:
    """The customer's part of a model's name, in lower case ("" for none). Raises InvalidInput."""
    lowered = suffix.strip().lower()
    if lowered and not _SUFFIX.fullmatch(lowered):
        raise InvalidInput(
            f"the suffix {suffix[:60]!r} does not fit into a model's name; use up to 40 letters, "
            "digits, dots and dashes",
            param="suffix",
        )
    return lowered


def version_name(
    *,
    base_id: str,
    slug: str,
    suffix: str,
    source_id: str,
    step: int | None = None,
    adapter: int | None = None,
) -> str:
    """`ft:base:organisation:suffix:id[:ckpt-step-n|:adapter-n]`, the id from `source_id`'s end."""
    name = f"ft:{base_id}:{slug}:{clean_suffix(suffix)}:{source_id[-_ID_LENGTH:]}"
    if adapter is not None:
        return f"{name}:adapter-{adapter}"
    return name if step is None else f"{name}:ckpt-step-{step}"
