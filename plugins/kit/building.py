"""Build a project's wheel, with the build tools that are here where they are enough."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from plugins.host.errors import WheelRefused

_NOT_SOURCE = shutil.ignore_patterns("build", "dist", "*.egg-info", ".*", "__pycache__", "venv")


def wheel_build(project: Path, folder: Path) -> Path:
    """Return the wheel, in `folder`. Raises WheelRefused with what the build said last."""
    if not (project / "pyproject.toml").is_file():
        raise WheelRefused(f"{project} has no pyproject.toml: name the plugin's folder")
    isolation = [] if _tools_missing(project) else ["--no-build-isolation", "--no-index"]
    with tempfile.TemporaryDirectory() as scratch:  # building writes beside its source
        source = shutil.copytree(project, Path(scratch, project.name), ignore=_NOT_SOURCE)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation]
        done = subprocess.run(
            [*command, "--wheel-dir", str(folder), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise WheelRefused(f"{project.name} does not build: {done.stderr.strip()[-2000:]}")
    return max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


def _tools_missing(project: Path) -> bool:
    described = tomllib.loads((project / "pyproject.toml").read_text())
    needs = described.get("build-system", {}).get("requires", ["setuptools"])
    return any(not _satisfied(Requirement(need)) for need in needs)


def _satisfied(need: Requirement) -> bool:
    try:
        return need.specifier.contains(version(need.name), prereleases=True)
    except PackageNotFoundError:
        return False
