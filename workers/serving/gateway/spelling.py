"""How single tokens are shown in logprobs: text and bytes, also for a part of a character."""

from __future__ import annotations

import re
from functools import cache

from workers.engine.data.tokens import Tokenizer

BROKEN = "\ufffd"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """The token's text; U+FFFD where its bytes are no whole characters."""
    return tokenizer.decode([token], skip_special=False)


def token_bytes(tokenizer: Tokenizer, token: int) -> bytes | None:
    """The token's bytes in UTF-8; None where the vocabulary does not tell."""
    text = token_text(tokenizer, token)
    if BROKEN not in text:
        return text.encode()
    piece = tokenizer.piece(token)
    if found := _BYTE.fullmatch(piece):
        return bytes([int(found[1], 16)])
    table = byte_alphabet()
    return bytes(table[c] for c in piece) if all(c in table for c in piece) else None


def token_name(tokenizer: Tokenizer, token: int) -> str:
    """As the older endpoint names tokens: its text, or `bytes:\\xe6\\xb1` for a part of one."""
    text = token_text(tokenizer, token)
    raw = token_bytes(tokenizer, token)
    if BROKEN not in text or raw is None:
        return text
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


@cache
def byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in byte-level BPE (GPT-2's `bytes_to_unicode`)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in set(shown)]
    return {chr(byte): byte for byte in shown} | {
        chr(256 + number): byte for number, byte in enumerate(hidden)
    }
