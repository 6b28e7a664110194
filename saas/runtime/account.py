"""The unprivileged account that a server runs under where the caller is root."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """An entry of the system's password file."""

    name: str
    uid: int
    gid: int


def run_as(account: Account | None, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end as the account (None: as the caller), without supplementary groups.

    Raises PermissionError where the account cannot reach the program.
    """
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
