"""Iterators of bytes as binary files, and back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 64 * 1024


class _Chunks(io.RawIOBase):
    """Reads forward through an iterator; nothing is held but the piece at hand."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._rest:
            piece = next(self._chunks, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        target = memoryview(buffer)
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def reader(chunks: Iterable[bytes]) -> BinaryIO:
    """A buffered, forward-only binary file over `chunks`."""
    return io.BufferedReader(_Chunks(chunks), PIECE)


def pieces(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a binary file, piece by piece."""
    while piece := source.read(PIECE):
        yield piece
