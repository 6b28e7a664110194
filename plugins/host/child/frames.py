"""Length-prefixed JSON over a socket pair, with open files beside a frame (SCM_RIGHTS)."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

MAX_FRAME = 4 * 1024 * 1024  # bytes
MAX_FILES = 32
_HEADER = struct.Struct(">I")


class ChannelClosed(Exception):
    """The other side has gone."""


class FrameRefused(Exception):
    """A frame that is too large, or no JSON object."""


class Channel:
    """One end. `send` may be called from several threads, `receive` from one."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()
        self._buffer = bytearray()
        self.files: list[int] = []  # received and not yet claimed, in order

    def send(
        self, frame: Mapping[str, Any], files: Sequence[int] = (), timeout: float | None = None
    ) -> None:
        """Raises ChannelClosed (also where `timeout` seconds pass), FrameRefused."""
        try:
            body = json.dumps(frame, separators=(",", ":"), allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            raise FrameRefused(f"a frame that is no JSON: {error}") from error
        if len(body) > MAX_FRAME:
            raise FrameRefused(f"a frame of {len(body):,} bytes; at most {MAX_FRAME:,}")
        data = _HEADER.pack(len(body)) + body
        try:
            with self._sending:
                self._socket.settimeout(timeout)
                sent = socket.send_fds(self._socket, [data], list(files)) if files else 0
                self._socket.sendall(data[sent:])
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next frame; None after `timeout` seconds. Raises ChannelClosed, FrameRefused."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (frame := self._whole_frame()) is None:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not select.select([self._socket], [], [], left)[0]:
                return None
            self._read_more()
        return frame

    def close(self) -> None:
        for fd in self.files:
            os.close(fd)
        self.files.clear()
        self._socket.close()

    def _whole_frame(self) -> dict[str, Any] | None:
        if len(self._buffer) < _HEADER.size:
            return None
        (size,) = _HEADER.unpack_from(self._buffer)
        if size > MAX_FRAME:
            raise FrameRefused(f"a frame of {size:,} bytes; at most {MAX_FRAME:,}")
        end = _HEADER.size + size
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        try:
            frame = json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise FrameRefused(f"a frame that is no JSON: {error}") from error
        if not isinstance(frame, dict):
            raise FrameRefused("a frame that is no JSON object")
        return frame

    def _read_more(self) -> None:
        try:
            data, files, _, _ = socket.recv_fds(self._socket, 65536, MAX_FILES)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        self.files += files
        if not data:
            raise ChannelClosed("end of stream")
        self._buffer += data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
