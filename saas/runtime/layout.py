"""Where everything lies under one data folder (`BREAKWATER_VAR`, default `var`)."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from saas.runtime.errors import RuntimeFailure

ROOT = Path(__file__).resolve().parents[2]
MIN_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Layout:
    """Paths of one installation; two data folders never share anything."""

    var: Path

    @classmethod
    def current(cls) -> Layout:
        """The data folder that the environment names."""
        return cls(Path(os.environ.get("BREAKWATER_VAR") or ROOT / "var").resolve())

    @property
    def env_file(self) -> Path:
        return self.var / "env"

    @property
    def superuser_file(self) -> Path:
        """The database superuser's password, which no service ever reads."""
        return self.var / "superuser"

    @property
    def logs(self) -> Path:
        return self.var / "log"

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def lock_file(self) -> Path:
        return self.run / "lock"

    @property
    def status_file(self) -> Path:
        return self.run / "status.json"

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def redis(self) -> Path:
        return self.var / "redis"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Make the folders, private where they hold secrets or plaintext. Raises RuntimeFailure."""
        try:
            self.var.mkdir(parents=True, exist_ok=True)
            for folder in (self.logs, self.run, self.redis, self.var / "scratch"):
                folder.mkdir(mode=0o700, exist_ok=True)
            probe = self.run / f"probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise RuntimeFailure(
                f"the data folder {self.var} cannot be written ({error.strerror}): "
                "give this user the right to, or choose another with VAR=/path/to/folder"
            ) from error


def code_changed() -> float:
    """Return when the newest of our source files was written, in seconds since the epoch."""
    folders = (ROOT / name for name in ("saas", "workers", "tenants", "plugins"))
    return max(path.stat().st_mtime for folder in folders for path in folder.rglob("*.py"))


def check_free_space(folder: Path) -> None:
    """Raise RuntimeFailure where less than a gigabyte is left."""
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise RuntimeFailure(
            f"only {free / 1e6:.0f} MB are free for {folder}, and a start needs "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB: free some space, or choose another disk with VAR=…"
        )
