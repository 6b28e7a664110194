"""One process of a fine-tune that several share: `python -P -m … REQUEST PARENT`.

The child (`engine_child`) starts them by `engine.distributed.launch`. The first one speaks over the
child's own channel, which it finds in the place of its standard input; the others say nothing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from workers.engine.distributed.launch import launch
from workers.engine.distributed.rank import train_here
from workers.tasks.channel import Channel, Frame
from workers.tasks.child import die_with, loopback_up
from workers.tasks.engine_frames import ChannelProgress, result_frame, work_of

REQUEST = "request.json"


def train_in_processes(channel: Channel, request: Frame, processes: int) -> None:
    """Start the processes, and return when all have ended: the first has sent the result."""
    loopback_up()
    os.dup2(channel.fileno(), sys.stdin.fileno())
    path = Path(request["scratch"]) / REQUEST
    path.write_text(json.dumps(request))
    launch(__name__, [str(path), str(os.getpid())], processes)


def main() -> None:
    path, parent = sys.argv[1:3]
    die_with(int(parent))
    work = work_of(json.loads(Path(path).read_text()))
    channel = Channel(socket.socket(fileno=os.dup(0)))
    result = train_here(work, lambda: ChannelProgress(channel))
    if result is not None:
        channel.send({"type": "result", **result_frame(result)})


if __name__ == "__main__":
    main()
