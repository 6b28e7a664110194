"""The README's commands and code blocks do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saas.runtime.layout import ROOT
from tests.servers import System

README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
MAKE_COMMANDS = sorted(
    set(re.findall(r"(?:^|`)(make [a-z-]+(?: [A-Z]+=\w+)*)", README, re.MULTILINE))
)


def test_the_readme_has_what_is_tested_here() -> None:
    assert len(PYTHON_BLOCKS) >= 2
    assert {"make demo", "make test", "make up", "make down"} <= set(MAKE_COMMANDS)


@pytest.mark.parametrize("command", MAKE_COMMANDS)
def test_each_make_command_is_one_that_the_makefile_knows(command: str) -> None:
    # Given a command of the README, when make is asked what it would run
    asked = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    # Then it knows
    assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize("number", range(len(PYTHON_BLOCKS)))
def test_each_python_block_runs_as_it_stands(
    number: int, demo: dict[str, Any], system: System, tmp_path: Path
) -> None:
    # Given a folder beside which the demo has left var/demo.json
    assert demo["fine_tuned_models"]
    (tmp_path / "var").symlink_to(system.layout.var)

    # When the block runs there
    done = subprocess.run(
        [sys.executable, "-c", PYTHON_BLOCKS[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    # Then it ends well, and prints something
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_up_on_a_running_system_reuses_it_and_make_doctor_finds_it_whole(
    demo: dict[str, Any], system: System
) -> None:
    assert demo["base_url"] == system.base_url
    system.make("up")
    assert system.base_url in system.make("doctor")
