"""A step's files and progress, seen from inside: files come open, and only this call's."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from plugins.sdk.errors import HandleRefused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def file_name_good(name: str) -> bool:
    """Whether a step may create a file of this name: a plain one, in no other folder."""
    return _NAME.fullmatch(name) is not None


def file_create(folder: Path, name: str) -> IO[bytes]:
    """A new file of a step's result. Raises ValueError, FileExistsError."""
    if not file_name_good(name):
        raise ValueError(f"{name!r}: a file's name is letters, digits, '.', '_' and '-'")
    return (folder / name).open("xb")


class ChildPort:
    """`files` are descriptors by handle; `tell` sends a frame to the host."""

    def __init__(
        self, files: Mapping[str, int], folder: Path, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._files = files
        self._folder = folder
        self._tell = tell
        self.stop = threading.Event()

    def open(self, handle_id: str) -> IO[bytes]:
        if handle_id not in self._files:
            raise HandleRefused(f"{handle_id!r} is no file of this call")
        fd = os.dup(self._files[handle_id])
        os.lseek(fd, 0, os.SEEK_SET)
        return os.fdopen(fd, "rb")

    def create(self, name: str) -> IO[bytes]:
        return file_create(self._folder, name)

    def progress(self, done: float) -> None:
        self._tell({"progress": float(done)})

    def snapshot(self, state: Mapping[str, Any]) -> None:
        self._tell({"snapshot": dict(state)})

    def cancelled(self) -> bool:
        return self.stop.is_set()
