"""Names that customers give their files. Pure."""

from __future__ import annotations

import unicodedata

from tenants.kernel.errors import InvalidInput

MAX_BYTES = 255  # of UTF-8, as in most file systems
_JOINERS = "\u200c\u200d"  # Persian and Indic spelling, emoji
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def clean_filename(name: str) -> str:
    """The last part of `name`, which names a file and nothing more.

    Raises InvalidInput for an empty name, one of dots, one that is too long, or one with control or
    direction-changing characters.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1].strip()
    if not last or set(last) == {"."}:
        raise InvalidInput(
            f"{name[:80]!r} is not a file name; send a name such as train.jsonl", param="file"
        )
    if not all(_is_harmless(character) for character in last):
        raise InvalidInput(
            f"the file name {last[:80]!r} holds control characters; rename the file", param="file"
        )
    if len(last.encode()) > MAX_BYTES:
        raise InvalidInput(
            f"the file name is longer than {MAX_BYTES} bytes; choose a shorter one", param="file"
        )
    return last


def _is_harmless(character: str) -> bool:
    """No control, line-breaking, surrogate or invisible character, joiners apart."""
    return character in _JOINERS or unicodedata.category(character) not in _HARMFUL
