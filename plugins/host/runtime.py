"""The files that a child may see: a copy of the SDK, of pluggy and of the child's own side."""

from __future__ import annotations

import compileall
import functools
import shutil
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

import plugins.host.child
import plugins.sdk

_LIBRARIES = ("/usr/lib", "/lib", "/lib64", "/usr/lib64", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_UNUSED = shutil.ignore_patterns(
    "site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "config-*"
)


@dataclass(frozen=True)
class Runtime:
    """`readable` are trees of files that hold no secret; `python` runs from one of them."""

    folder: Path
    python: Path
    readable: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> Runtime:
        """One that another process has made: its `to_json`."""
        readable, environment = tuple(made["readable"]), dict(made["environment"])
        return cls(Path(made["folder"]), Path(made["python"]), readable, environment)

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "python": str(self.python),
            "readable": list(self.readable),
            "environment": dict(self.environment),
        }

    @property
    def launcher(self) -> Path:
        return self.folder / "plugins" / "host" / "child" / "launch.py"


def runtime_make(folder: Path) -> Runtime:
    """Fill `folder` anew; ordinary user ids must be able to reach it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for package in (plugins.sdk, plugins.host.child):
        target = folder.joinpath(*package.__name__.split("."))
        shutil.copytree(Path(package.__path__[0]), target, ignore=_UNUSED)
        (target.parent / "__init__.py").touch()
    shutil.copytree(Path(pluggy.__file__).parent, folder / "pluggy", ignore=_UNUSED)
    prefix = Path(sys.base_prefix).resolve()
    if not _everyone_reaches(prefix):
        prefix = _python_copy(prefix, folder / "python")
    compileall.compile_dir(folder / "plugins", quiet=1)  # a child may not write its own
    compileall.compile_dir(folder / "pluggy", quiet=1)
    _open_to_all(folder)
    python = prefix / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    readable = (str(folder), str(prefix), *_LIBRARIES, *_DEVICES)
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "JOBLIB_MULTIPROCESSING": "0",
    }
    return Runtime(folder, python, readable, environment)


def _python_copy(prefix: Path, target: Path) -> Path:
    """The interpreter lies where only its owner may go: the child gets a copy."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.copytree(prefix / "lib" / version, target / "lib" / version, ignore=_UNUSED)
    (target / "bin").mkdir()
    shutil.copyfile(prefix / "bin" / version, target / "bin" / version)
    (target / "bin" / version).chmod(0o755)
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copyfile(library, target / "lib" / library.name)
    return target


@functools.cache
def _everyone_reaches(path: Path) -> bool:
    """Whether an ordinary user id may read the tree (judged by its standard library's folder)."""
    library = Path(sysconfig.get_path("stdlib")).resolve()
    steps = (path, library, *path.parents, *library.parents)
    return all(step.stat().st_mode & stat.S_IXOTH for step in steps)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
