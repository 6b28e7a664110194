"""The child's first file: `python -I -S launch.py FD`. Confined before the plugin is imported."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

RUNTIME = str(Path(__file__).resolve().parents[3])


def main() -> None:
    sys.path[:0] = [RUNTIME]
    from plugins.host.child.frames import Channel

    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    settings = channel.receive()
    if settings is None:
        return
    import encodings.idna  # noqa: F401 - what a later import could no longer find its way to

    from plugins.host.child.confine import confine
    from plugins.host.child.serve import serve

    try:
        confine(settings)
    except (OSError, KeyError, ValueError) as error:
        channel.send({"unconfined": f"{type(error).__name__}: {error}"})
        return
    sys.path[1:1] = settings["path"]
    serve(channel, settings)


if __name__ == "__main__":
    main()
