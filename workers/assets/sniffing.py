"""What a file really is, found while its bytes stream by. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from tenants.kernel.errors import InvalidInput, TooLarge

DATA_PURPOSES = frozenset({"fine-tune", "evals"})  # what models learn from and are measured on
TEXT_PURPOSES = DATA_PURPOSES | {"batch"}  # UTF-8 text, but for data's own binary kinds
PURPOSES = TEXT_PURPOSES | {"assistants", "user_data", "vision"}
ZIP, PARQUET = "a zip archive", "a Parquet table"
DATA_KINDS = frozenset({ZIP, PARQUET})  # data of images and recordings, and of tables

HEAD = 8  # bytes that decide
_MAGIC = (
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xce\xfa\xed\xfe", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"#!", "a script"),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"PAR1", PARQUET),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_NEVER = frozenset({"a pickle", "a program", "a script"})


def checked(chunks: Iterable[bytes], *, purpose: str, max_bytes: int) -> Iterator[bytes]:
    """Pass `chunks` through, refusing what may not be stored for `purpose`.

    Raises InvalidInput (empty, a kind that is refused, not UTF-8 in line n), TooLarge.
    """
    size = 0
    text = _Utf8Lines() if purpose in TEXT_PURPOSES else None
    for chunk in _headed(chunks):
        if size == 0:
            kind = kind_of(chunk)
            _refuse_kind(kind, purpose)
            text = None if kind in DATA_KINDS else text
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"the file is larger than {max_bytes:,} bytes; split it", param="file")
        if text is not None:
            text.feed(chunk)
        yield chunk
    if size == 0:
        raise InvalidInput(
            "the file is empty; send at least one line", param="file", code="empty_file"
        )
    if text is not None:
        text.close()


def _headed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same stream, its first piece long enough to tell the kind."""
    head, rest = b"", iter(chunks)
    for chunk in rest:
        head += chunk
        if len(head) >= HEAD:
            break
    if head:
        yield head
    yield from rest


def kind_of(head: bytes) -> str | None:
    """What the first bytes say a file is ("a pickle"), or None where they say nothing."""
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _refuse_kind(kind: str | None, purpose: str) -> None:
    if kind is None or (purpose not in TEXT_PURPOSES and kind not in _NEVER):
        return
    if purpose in DATA_PURPOSES and kind in DATA_KINDS:
        return
    advice = (
        "no pickles or programs are ever stored; weights travel as safetensors, data as JSONL"
        if kind in _NEVER
        else f"for the purpose {purpose!r} send plain UTF-8 JSONL, one JSON object per line"
    )
    raise InvalidInput(f"the file is {kind}; {advice}", param="file", code="invalid_file_type")


class _Utf8Lines:
    """Decodes as bytes arrive and knows the line."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._line = 1

    def feed(self, chunk: bytes, *, final: bool = False) -> None:
        pending = self._decoder.getstate()[0]
        data = pending + chunk
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            line = self._line + data[: error.start].count(b"\n")
            raise _refusal(line, "is not UTF-8; save it as UTF-8", "invalid_utf8") from error
        if "\x00" in text:
            line = self._line + text[: text.index("\x00")].count("\n")
            raise _refusal(line, "holds a NUL byte; this is not text", "invalid_file_type")
        self._line += text.count("\n")

    def close(self) -> None:
        self.feed(b"", final=True)


def _refusal(line: int, what: str, code: str) -> InvalidInput:
    return InvalidInput(f"line {line} {what}", param="file", code=code)
