"""The few system calls that Python does not offer, by number."""

from __future__ import annotations

import ctypes
import os

MACHINE = os.uname().machine
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
_CAPSET = {"x86_64": 126, "aarch64": 91}

libc = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """Raises OSError."""
    return _checked(libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *arguments: object) -> None:
    """Raises OSError."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    _checked(libc.prctl(option, *(ctypes.c_ulong(a) if isinstance(a, int) else a for a in padded)))


def capabilities_drop() -> None:
    """Give up every capability of this thread."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    syscall(_CAPSET[MACHINE], header, (ctypes.c_uint32 * 6)())


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
