"""The child process of an attempt: `python -P -m workers.tasks.child ENTRY FD PARENT NETWORK`.

It owns tensors and scratch; it has no database, no keys and nothing of the parent's environment.
ENTRY is a module with `run(channel, request)`. Django is never loaded here.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path

from workers.tasks.channel import Channel, ChannelClosed

NO_NETWORK, LOOPBACK = "none", "loopback"

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP, _IFREQ_BYTES = 0x8913, 0x8914, 0x1, 40
_OPEN_FILES = 4096
_OUT_OF_MEMORY_FIRST = "900"  # of 1000: the kernel kills the child before anything else


def main() -> int:
    entry, descriptor, parent, network = sys.argv[1:5]
    die_with(int(parent))
    _limit()
    if network == NO_NETWORK:
        leave_network()
    channel = Channel(socket.socket(fileno=int(descriptor)))
    try:
        request = channel.receive()
        importlib.import_module(entry).run(channel, request)
    except ChannelClosed:
        return 1  # the parent is gone, and with it everybody who wanted this
    except BaseException as error:  # noqa: BLE001 -- told to the parent, who decides
        traceback.print_exc()
        channel.send({"type": "crashed", "error": repr(error)[:2000]})
        return 1
    return 0


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    Leaves at once if it has ended already.
    https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def leave_network() -> bool:
    """Go where there is no network, not even the loopback; False where the kernel forbids that.

    https://man7.org/linux/man-pages/man7/network_namespaces.7.html; who is not root needs a user
    namespace to be allowed to.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(libc.unshare(flags) == 0)


def loopback_up() -> None:
    """Let processes of this one's own network speak with each other; it leads nowhere else.

    A network that `leave_network` made begins with its loopback down. Where the kernel forbade
    leaving, the loopback is up anyway. https://man7.org/linux/man-pages/man7/netdevice.7.html
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH", b"lo", 0).ljust(_IFREQ_BYTES, b"\0")
        found = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked)
        (flags,) = struct.unpack_from("H", found, 16)
        if not flags & _IFF_UP:
            fcntl.ioctl(
                any_socket,
                _SIOCSIFFLAGS,
                found[:16] + struct.pack("H", flags | _IFF_UP) + found[18:],
            )


def _limit() -> None:
    """No core dumps, a bounded number of files, and the first to go when memory runs out.

    A core dump would hold the customer's data.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_FIRST)


if __name__ == "__main__":
    sys.exit(main())
