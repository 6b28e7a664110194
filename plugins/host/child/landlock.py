"""Landlock: which files this process may reach, and no TCP, no signals past its own domain.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

from plugins.host.child.system import syscall

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every machine
_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_FIRST = (1 << 13) - 1  # all rights of version 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL_DEV


def landlock_version() -> int:
    """The kernel's interface version; 0 where it has none or it is switched off."""
    try:
        return syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def landlock_apply(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Allow the trees named and nothing else, for good. Raises OSError."""
    version = landlock_version()
    handled = _FIRST
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        handled |= right if version >= since else 0
    network, scope = 3 if version >= 4 else 0, 3 if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("QQQ", handled, network, scope)[:size]
    ruleset = syscall(_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, handled & (_EXECUTE | _READ | _READ_DIR))
        for path in writable:
            _allow(ruleset, path, handled & ~_EXECUTE)
        syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, fd)
        syscall(_ADD_RULE, ruleset, 1, ctypes.c_char_p(rule), 0)
    finally:
        os.close(fd)
