"""Take from this process what a plugin must not have, in the one order that works."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from typing import Any

from plugins.host.child.landlock import landlock_apply, landlock_version
from plugins.host.child.namespaces import namespaces_enter
from plugins.host.child.seccomp import seccomp_apply
from plugins.host.child.system import PR_SET_NO_NEW_PRIVS, capabilities_drop, prctl


def confine(settings: Mapping[str, Any]) -> None:
    """Raises OSError where the level asked for cannot be reached."""
    readable, writable = settings["readable"], settings["writable"]
    level = settings["level"]
    if level == "namespaces":
        namespaces_enter(readable, writable, settings["root"])
    os.chdir(settings["folder"])
    _limit(settings["limits"])
    if os.getuid() == 0:
        uid = settings["uid"]
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    capabilities_drop()
    if level == "none":
        return
    required = level == "seccomp_landlock"
    if landlock_version() or required:
        landlock_apply(readable, writable)
    try:
        seccomp_apply()
    except (OSError, KeyError):
        if required:
            raise


def _limit(limits: Mapping[str, int]) -> None:
    cpu = limits["cpu_s"]
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory"], limits["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file"], limits["file"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits["open_files"], limits["open_files"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getuid() == 0:  # the id we drop to is this child's own, so that the count is too
        resource.setrlimit(resource.RLIMIT_NPROC, (limits["processes"], limits["processes"]))
