"""A seccomp filter: no new process, program, socket or name space; no other process's business.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html; numbers from asm/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from plugins.host.child.system import MACHINE, PR_SET_SECCOMP, prctl

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_NUMBERS = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "tkill": (200, 130),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "clone": (56, 220),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
}
# io_uring_*, pidfd_send_signal, pidfd_open, pidfd_getfd, open_tree … fspick: equal on both machines
_EVERYWHERE = (425, 426, 427, 424, 434, 438, 428, 429, 430, 431, 432, 433)
_FORK, _VFORK, _CLONE3 = 57, 58, 435  # the first two on x86_64 only
_CLONE_THREAD = 0x00010000
_SIGCHECKED = ("kill", "tgkill")

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARG0_AT = 0, 4, 16


def seccomp_apply() -> None:
    """Confine this process and its threads for good. Raises OSError, KeyError (other machines)."""
    code = b"".join(_program(os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, 2, ctypes.c_char_p(program))


def _program(pid: int) -> list[bytes]:
    column = _COLUMN[MACHINE]
    numbers = {name: each[column] for name, each in _NUMBERS.items()}
    clone, prlimit = numbers.pop("clone"), numbers.pop("prlimit64")
    own = [numbers.pop(name) for name in _SIGCHECKED]
    denied = [*numbers.values(), *_EVERYWHERE]
    code = [
        _line(_LOAD, _ARCH_AT),
        _line(_EQUAL, _AUDIT_ARCH[MACHINE], 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER_AT),
    ]
    if MACHINE == "x86_64":
        denied += [_FORK, _VFORK]
        code += [_line(_AT_LEAST, 0x40000000, 0, 1), _refused(errno.EPERM)]  # the x32 interface
    # glibc falls back from clone3, whose flags a filter cannot read, to clone
    code += [_line(_EQUAL, _CLONE3, 0, 1), _refused(errno.ENOSYS)]
    for number in denied:
        code += [_line(_EQUAL, number, 0, 1), _refused(errno.EPERM)]
    code += [
        _line(_EQUAL, clone, 0, 4),
        _line(_LOAD, _ARG0_AT),
        _line(_ANY_BIT, _CLONE_THREAD, 1, 0),
        _refused(errno.EPERM),
        _line(_RETURN, _ALLOW),
    ]
    for number, allowed in [*((number, (pid,)) for number in own), (prlimit, (0, pid))]:
        code += [_line(_EQUAL, number, 0, 3 + len(allowed)), _line(_LOAD, _ARG0_AT)]
        for left, value in zip(range(len(allowed), 0, -1), allowed, strict=True):
            code.append(_line(_EQUAL, value, left, 0))
        code += [_refused(errno.EPERM), _line(_RETURN, _ALLOW)]
    return [*code, _line(_RETURN, _ALLOW)]


def _refused(number: int) -> bytes:
    return _line(_RETURN, _ERRNO | number)


def _line(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_so, if_not, value)
