"""Frames: any JSON object arrives as it was sent, whatever the pieces; nonsense is refused."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.tasks.channel import MAX_FRAME, Channel, ChannelClosed, FrameRefused, channel_pair

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def ends() -> tuple[Channel, Channel]:
    ours, theirs = channel_pair()
    return ours, Channel(theirs)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.text(), JSON), max_size=5))
def test_frames_arrive_in_order_as_they_were_sent(frames: list[dict[str, object]]) -> None:
    ours, theirs = ends()
    for frame in frames:
        ours.send(frame)
    assert [theirs.receive(1) for _ in frames] == frames
    assert theirs.receive(0) is None
    ours.close()
    theirs.close()


def test_a_frame_in_pieces_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    body = b'{"a":1}'
    wire = struct.pack(">I", len(body)) + body
    for piece in (wire[:2], wire[2:6], wire[6:-1]):
        theirs.sendall(piece)
        assert channel.receive(0.01) is None
    theirs.sendall(wire[-1:])
    assert channel.receive(1) == {"a": 1}


def test_a_large_frame_passes_while_the_other_side_reads() -> None:
    ours, theirs = ends()
    frame = {"text": "x" * (MAX_FRAME // 2)}
    reader = threading.Thread(target=lambda: got.append(theirs.receive(10)))
    got: list[object] = []
    reader.start()
    ours.send(frame)
    reader.join()
    assert got == [frame]


def test_the_time_limit_holds() -> None:
    ours, _theirs = ends()
    began = time.monotonic()
    assert ours.receive(0.1) is None
    assert 0.09 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "wire",
    [
        struct.pack(">I", MAX_FRAME + 1),
        struct.pack(">I", 3) + b"{[}",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 1) + b"\xff",
    ],
)
def test_nonsense_is_refused(wire: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(wire)
    with pytest.raises(FrameRefused):
        Channel(ours).receive(1)


def test_too_large_a_frame_is_not_sent() -> None:
    ours, theirs = ends()
    with pytest.raises(FrameRefused):
        ours.send({"text": "x" * MAX_FRAME})
    assert theirs.receive(0) is None


def test_the_other_sides_end_is_told() -> None:
    ours, theirs = ends()
    theirs.close()
    with pytest.raises(ChannelClosed):
        ours.receive(1)
    with pytest.raises(ChannelClosed):
        ours.send({})
