"""Where the embedded PostgreSQL lives, and as whom it runs.

It refuses to run as root, so root hands it to an unprivileged account. That account must reach the
data and the programs. Folder rights are never loosened for it: where it cannot reach the data
folder (in /root, say), the database lives under /var/lib, and a pointer in the data folder says so.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from saas.runtime.account import Account, run_as
from saas.runtime.binaries import postgres_install, program_version
from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout

_ACCOUNTS = ("nobody", "daemon", "postgres")


@dataclass(frozen=True)
class Place:
    """`account` is None where the caller itself may run the server."""

    home: Path
    programs: Path
    account: Account | None

    @property
    def data(self) -> Path:
        return self.home / "data"


def place_ensure(layout: Layout) -> Place:
    """Return a place that the server's account can reach, making it if need be.

    Raises RuntimeFailure.
    """
    install = postgres_install()
    if os.geteuid() != 0:
        layout.postgres.mkdir(mode=0o700, exist_ok=True)
        return Place(layout.postgres, install / "bin", None)
    account = _account()
    home = _home(layout, account)
    return Place(home, _reachable_programs(install, home, account), account)


def _account() -> Account:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise RuntimeFailure(
        "PostgreSQL refuses to run as root, and this machine has none of the accounts "
        f"{', '.join(_ACCOUNTS)}: make one (`useradd --system postgres`), or run as another user"
    )


def _home(layout: Layout, account: Account) -> Path:
    """Return the kept home, else the first candidate that the account can work in."""
    pointer = layout.var / "postgres.home"
    if pointer.is_file():
        return Path(pointer.read_text().strip())
    key = hashlib.sha256(str(layout.var).encode()).hexdigest()[:16]
    candidates = (
        layout.postgres,
        Path("/var/lib/breakwater") / key,
        Path(tempfile.gettempdir()) / f"breakwater-{key}",
    )
    for home in candidates:
        if _usable(home, account):
            if home != layout.postgres:
                _refuse_orphan(home, layout)
                pointer.write_text(f"{home}\n")
            return home
    raise RuntimeFailure(
        f"the account {account.name}, as which PostgreSQL runs, can reach none of "
        f"{', '.join(map(str, candidates))}: choose a data folder that all may enter with VAR=…"
    )


def _refuse_orphan(home: Path, layout: Layout) -> None:
    """A database here that no pointer names belonged to a data folder that was thrown away."""
    if (home / "data").exists():
        raise RuntimeFailure(
            f"{home} holds the database of an earlier {layout.var}, whose passwords and keys are "
            f"gone with it: remove it with `rm -r {home}`, or restore the data folder"
        )


def _usable(home: Path, account: Account) -> bool:
    """Whether the account can write to a folder of its own in `home`."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        if home.stat().st_uid != 0:  # somebody else's, in a folder open to all
            return False
        own = home / "reach"
        own.mkdir(mode=0o700, exist_ok=True)
        os.chown(own, account.uid, account.gid)
    except OSError:
        return False
    reached = run_as(account, ["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(own)])
    own.rmdir()
    if reached.returncode != 0:
        home.rmdir()
    return reached.returncode == 0


def _reachable_programs(install: Path, home: Path, account: Account) -> Path:
    """Return the programs' folder, a copy where the environment is closed to the account."""
    try:
        program_version(install / "bin" / "postgres", account=account)
    except PermissionError:
        return _copied(install, home) / "bin"
    return install / "bin"


def _copied(install: Path, home: Path) -> Path:
    version = program_version(install / "bin" / "postgres").split()[-1]
    copy = home / f"install-{version}"
    inside = Path(install.parent.name) / install.name
    if not copy.is_dir():
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=home))
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, draft / inside / part, symlinks=True)
        # libraries that the wheel carries beside the package
        bundled = f"{install.parent.name}.libs"
        if (install.parents[1] / bundled).is_dir():
            shutil.copytree(install.parents[1] / bundled, draft / bundled)
        draft.chmod(0o755)
        draft.rename(copy)
    return copy / inside
