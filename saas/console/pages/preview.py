"""The first rows of a file, for eyes: what a model would learn from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from workers.assets.models import File
from workers.assets.selectors import file_chunks

ROWS = 8
LINE_BYTES = 4_000  # of a line, how much is shown
READ_BYTES = 256_000  # of a file, how much is read


def first_rows(file: File) -> list[dict[str, Any]]:
    """Up to `ROWS` of a file's first lines, as conversations where they are ones."""
    return [row_of(line) for line in islice(lines(file_chunks(file)), ROWS)]


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines from the first `READ_BYTES` of a stream, blank ones left out."""
    held, read = b"", 0
    for chunk in chunks:
        held += chunk[: READ_BYTES - read]
        read += len(chunk)
        *whole, held = held.split(b"\n")
        yield from (line for line in whole if line.strip())
        if read >= READ_BYTES:
            return
    if held.strip():
        yield held


def row_of(line: bytes) -> dict[str, Any]:
    """`{"turns": [(role, text)]}` of a chat or completion example, else `{"raw": text}`."""
    try:
        value = json.loads(line)
    except ValueError:
        return {"raw": _cut(line.decode("utf-8", "replace"))}
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        turns = [m for m in value["messages"] if isinstance(m, dict)]
        return {"turns": [(str(m.get("role", "")), _cut(str(m.get("content", "")))) for m in turns]}
    if isinstance(value, dict) and {"prompt", "completion"} <= value.keys():
        pairs = (("prompt", value["prompt"]), ("completion", value["completion"]))
        return {"turns": [(name, _cut(str(text))) for name, text in pairs]}
    return {"raw": _cut(json.dumps(value, ensure_ascii=False))}


def _cut(text: str) -> str:
    return text if len(text) <= LINE_BYTES else text[:LINE_BYTES] + " …"
