"""A root of its own by user, mount, network and IPC name spaces: what is not bound is not there."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from plugins.host.child.system import MACHINE, libc, syscall

_NEWNS, _NEWIPC, _NEWUSER, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x40000000
_BIND, _REC, _PRIVATE, _REMOUNT, _RDONLY = 4096, 16384, 1 << 18, 32, 1
_NOSUID, _NODEV, _DETACH = 2, 4, 2
_RELATIME = 1 << 21
# what a remount may not take away; statvfs tells each by mount's own number, but the last
_LOCKED = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
_UNSHARE, _PIVOT = {"x86_64": (272, 155), "aarch64": (97, 41)}.get(MACHINE, (-1, -1))


def namespaces_enter(readable: Sequence[str], writable: Sequence[str], root: str) -> None:
    """Move this process, which has one thread, under `root`, an empty folder. Raises OSError."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        syscall(_UNSHARE, _NEWNS | _NEWIPC | _NEWNET)
    else:
        syscall(_UNSHARE, _NEWUSER | _NEWNS | _NEWIPC | _NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount(None, "/", None, _REC | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    for path in readable:
        _bind(path, root, _RDONLY)
    for path in writable:
        _bind(path, root, 0)
    _mount(None, root, None, _REMOUNT | _RDONLY | _NOSUID | _NODEV)
    os.chdir(root)
    syscall(_PIVOT, b".", b".")
    if libc.umount2(b".", _DETACH) < 0:
        raise OSError(ctypes.get_errno(), "umount of the old root")
    os.chdir("/")


def _bind(path: str, root: str, flags: int) -> None:
    source = Path(path)
    if not source.exists():
        return
    target = Path(root + path)
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(path, str(target), None, _BIND | _REC)
    if source.is_char_device():
        return
    found = os.statvfs(target).f_flag
    keep = found & _LOCKED | (_RELATIME if found & os.ST_RELATIME else 0)
    _mount(None, str(target), None, _BIND | _REMOUNT | _NOSUID | _NODEV | flags | keep)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    def raw(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    if libc.mount(raw(source), raw(target), raw(kind), ctypes.c_ulong(flags), raw(data)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount of {source or target}: {os.strerror(number)}")
