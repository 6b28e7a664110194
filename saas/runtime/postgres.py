"""The embedded PostgreSQL: made once, started on a loopback port, checked, recovered.

https://www.postgresql.org/docs/18/app-initdb.html, …/runtime-config.html
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from saas.runtime.account import run_as
from saas.runtime.binaries import POSTGRES_MAJOR, program_version
from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout, check_free_space
from saas.runtime.place import Place, place_ensure
from saas.runtime.ports import HOST

SUPERUSER = "postgres"

# A small machine's, and durable: what a commit has promised survives a power cut.
_SETTINGS = {
    "listen_addresses": f"'{HOST}'",
    "unix_socket_directories": "''",  # a deep data folder would exceed a socket path's 107 bytes
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "min_wal_size": "80MB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "password_encryption": "'scram-sha-256'",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %u@%d '",
    "log_checkpoints": "off",
    "lc_messages": "'C'",
}
_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_HBA = """# Written at every start: passwords, and from this machine only.
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Postgres:
    """`durable=False` is for tests alone: a crash of the machine may lose everything."""

    place: Place
    port: int
    password: str
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.place.data

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's address."""
        return f"postgresql://{SUPERUSER}:{self.password}@{HOST}:{self.port}/{database}"

    def command(self) -> list[str]:
        return [str(self.place.programs / "postgres"), "-D", str(self.data)]

    def prepare(self) -> None:
        """Make the cluster where there is none, and write its settings. Raises RuntimeFailure."""
        program_version(self.place.programs / "postgres", account=self.place.account)
        check_free_space(self.place.home)
        if self.data.exists():
            _check_version(self.data)
            _clear_stale_pid(self.data)
        else:
            _clear_drafts(self.place.home)
            self._initialise()
        self._configure()

    def ready(self) -> bool:
        """Whether it takes the superuser's queries."""
        try:
            with psycopg.connect(self.url(), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        """Run initdb beside the final folder: a kill in between leaves nothing half made."""
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.place.home))
        with tempfile.NamedTemporaryFile("w", prefix="draft-", dir=self.place.home) as password:
            password.write(self.password)
            password.flush()
            for path in (draft, Path(password.name)):
                self._own(path)
            done = self._run_initdb(draft, Path(password.name))
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise RuntimeFailure(f"PostgreSQL's initdb failed:\n{done.stderr.strip()}")
        draft.rename(self.data)

    def _run_initdb(self, folder: Path, password: Path) -> subprocess.CompletedProcess[str]:
        command = [
            str(self.place.programs / "initdb"),
            f"--pgdata={folder}",
            f"--username={SUPERUSER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        return run_as(self.place.account, command if self.durable else [*command, "--no-sync"])

    def _configure(self) -> None:
        settings = {**_SETTINGS, **({} if self.durable else _CARELESS), "port": str(self.port)}
        lines = [f"{key} = {value}" for key, value in settings.items()]
        text = "\n".join(["# Written at every start.", *lines, ""])
        for name, content in (("postgresql.conf", text), ("pg_hba.conf", _HBA)):
            path = self.data / name
            path.write_text(content)
            path.chmod(0o600)
            self._own(path)

    def _own(self, path: Path) -> None:
        if self.place.account is not None:
            os.chown(path, self.place.account.uid, self.place.account.gid)


def postgres_for(layout: Layout, *, port: int, password: str, durable: bool = True) -> Postgres:
    """Return the data folder's PostgreSQL. Raises RuntimeFailure."""
    return Postgres(place_ensure(layout), port, password, durable)


def _clear_drafts(home: Path) -> None:
    """Remove what an initdb that was killed has left."""
    for draft in home.glob("draft-*"):
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink()


def _check_version(data: Path) -> None:
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise RuntimeFailure(
            f"{data} is not a PostgreSQL data folder ({error.strerror}): move it away "
            "and start again"
        ) from error
    if found != str(POSTGRES_MAJOR):
        raise RuntimeFailure(
            f"{data} was written by PostgreSQL {found}, and this is PostgreSQL {POSTGRES_MAJOR}: "
            f"dump it with a PostgreSQL {found} (pg_dumpall) and restore it into a new data "
            "folder, or begin anew with VAR=/another/folder"
        )


def _clear_stale_pid(data: Path) -> None:
    """Remove what a killed server left where its process id belongs to somebody else by now."""
    file = data / "postmaster.pid"
    if not file.is_file():
        return
    first = file.read_text().split("\n", 1)[0].strip()
    holder = _postgres_on(data, int(first)) if first.isdigit() else None
    if holder is None:
        file.unlink()
        return
    raise RuntimeFailure(
        f"PostgreSQL (process {holder.pid}) already runs on {data}, outside of this supervisor: "
        f"stop it with `kill -INT {holder.pid}`"
    )


def _postgres_on(data: Path, pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        words = process.cmdline()
    except psutil.Error:
        return None
    alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    is_postgres = bool(words) and Path(words[0]).name == "postgres" and str(data) in words
    return process if alive and is_postgres else None
