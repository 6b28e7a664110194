"""Frames between a worker's parent and its child: length-prefixed JSON over one socket pair."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Mapping
from typing import Any

MAX_FRAME = 1024 * 1024  # bytes; folders go by path, never through here
_HEADER = struct.Struct(">I")

Frame = dict[str, Any]


class ChannelClosed(Exception):
    """The other side has gone."""


class FrameRefused(Exception):
    """A frame that is too large, or no JSON object: the other side is broken."""


class Channel:
    """One end. `send` may be called from several threads; `receive` from one."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()
        self._buffer = bytearray()

    def send(self, frame: Mapping[str, Any]) -> None:
        """Raises ChannelClosed, or FrameRefused for one that is too large."""
        body = json.dumps(frame, separators=(",", ":")).encode()
        if len(body) > MAX_FRAME:
            raise FrameRefused(f"a frame of {len(body):,} bytes; at most {MAX_FRAME:,}")
        try:
            with self._sending:
                self._socket.settimeout(None)
                self._socket.sendall(_HEADER.pack(len(body)) + body)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout: float | None = None) -> Frame | None:
        """Return the next frame; None after `timeout` seconds without a whole one.

        Raises ChannelClosed, FrameRefused.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (frame := self._whole_frame()) is None:
            if not self._read_more(deadline):
                return None
        return frame

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _whole_frame(self) -> Frame | None:
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
            frame = json.loads(body)
        except ValueError as error:
            raise FrameRefused("a frame that is no JSON") from error
        if not isinstance(frame, dict):
            raise FrameRefused("a frame that is no JSON object")
        return frame

    def _read_more(self, deadline: float | None) -> bool:
        """False once the deadline has passed."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        try:
            self._socket.settimeout(left)
            piece = self._socket.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not piece:
            raise ChannelClosed("end of stream")
        self._buffer += piece
        return True


def channel_pair() -> tuple[Channel, socket.socket]:
    """The parent's end, and the socket to hand to the child."""
    ours, theirs = socket.socketpair()
    return Channel(ours), theirs
