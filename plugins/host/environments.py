"""A partner's wheel in a folder of its own. Installing copies files; none of them runs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from plugins.host.errors import WheelRefused

OURS = frozenset({"plugins", "saas", "tenants", "workers", "pluggy"})
MOST_UNPACKED, MOST_FILES = 1024**3, 20_000  # bytes, of all files
PROVIDED = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "narwhals", "statsmodels")


def wheel_install(wheel: Path, folder: Path) -> None:
    """Unpack one wheel into `folder`, which must not exist. Raises WheelRefused."""
    _inspect(wheel)
    if folder.exists():
        raise WheelRefused(f"{folder.name} is installed already: use a new folder per version")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--only-binary",
            ":all:",
            "--no-compile",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--target",
            str(folder),
            str(wheel),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WheelRefused(f"{wheel.name}: {done.stderr.strip()[-1000:]}")
    try:
        _inspect_installed(wheel.name, folder)
    except WheelRefused:
        shutil.rmtree(folder)
        raise
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _inspect(wheel: Path) -> None:
    if wheel.suffix != ".whl":
        raise WheelRefused(f"{wheel.name}: only wheels are installed; build one of it")
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            unpacked = sum(each.file_size for each in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise WheelRefused(f"{wheel.name}: no readable wheel ({error})") from error
    if unpacked > MOST_UNPACKED or len(names) > MOST_FILES:
        raise WheelRefused(
            f"{wheel.name}: {len(names):,} files of {unpacked:,} bytes; at most {MOST_FILES:,} "
            f"of {MOST_UNPACKED:,}"
        )
    for name in names:
        if name.endswith(".pth"):
            raise WheelRefused(f"{wheel.name}: {name} would run at every start of Python")


def _inspect_installed(wheel: str, folder: Path) -> None:
    """Where its files came to lie: a name in the archive (`x.data/purelib/y`) does not tell."""
    there = sorted(path.name for path in folder.iterdir())
    if taken := [name for name in there if name.partition(".")[0] in OURS]:
        raise WheelRefused(f"{wheel}: {taken[0]} stands in the platform's own place")
    about = [name for name in there if name.endswith((".dist-info", ".egg-info"))]
    if len(about) != 1:
        raise WheelRefused(f"{wheel}: it tells of {len(about)} packages: {', '.join(about)}")


def provided_versions(names: Iterable[str] = PROVIDED) -> dict[str, str]:
    """The libraries that the platform lends, as far as it has them: name → version."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = distribution(name).version
    return found


def provided_paths(names: Iterable[str] = PROVIDED) -> dict[str, tuple[str, ...]]:
    """The folders and files of the libraries that the platform lends to children, by library."""
    found = {}
    for name in names:
        try:
            lent = distribution(name)
        except PackageNotFoundError:
            continue
        tops = {path.parts[0] for path in lent.files or () if path.parts[0] not in {"..", "bin"}}
        tops.discard("__pycache__")
        found[name] = tuple(sorted(str(lent.locate_file(top)) for top in tops))
    return found


def provided_link(folder: Path, names: Iterable[str] = PROVIDED) -> Path:
    """One folder of links to the lent libraries: nothing beside them can be imported."""
    folder.mkdir(parents=True, exist_ok=True)
    for paths in provided_paths(names).values():
        for path in map(Path, paths):
            link = folder / path.name
            if not link.is_symlink():
                link.symlink_to(path.resolve())
    return folder
