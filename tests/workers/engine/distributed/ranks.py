"""Fine-tunes in two processes: `python -m … PLAN` starts them, each trains what PLAN lists.

PLAN is JSON, a list of `Scenario`s; what each one showed goes into its folder as `found.json`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from tests.workers.engine.factories import Recorder, handle, spec, work
from workers.engine.distributed.launch import launch
from workers.engine.distributed.rank import train_among
from workers.engine.distributed.sharded import Sharded, process_group
from workers.engine.protocol import Command, Handle, Member, Progress

PROCESSES = 2


@dataclass(frozen=True)
class Scenario:
    """A fine-tune, and where what comes of it is found; `pause` after so many steps (0: never)."""

    base: str
    data: str
    folder: str
    settings: dict[str, Any] = field(default_factory=dict)
    validation: str = ""
    resume: str = ""
    pause: int = 0

    def member(self) -> Member:
        return Member(
            "m",
            spec(**self.settings),
            handle(Path(self.data)),
            validation=handle(Path(self.validation)) if self.validation else None,
            resume=handle(Path(self.resume)) if self.resume else None,
        )

    def recorder(self) -> Recorder:
        keep = Path(self.folder) / "kept"
        keep.mkdir(parents=True, exist_ok=True)
        return Recorder(keep, lambda step: Command.PAUSE if step == self.pause > 0 else Command.GO)

    def found(self, progress: Recorder, artifact: Handle | None) -> dict[str, Any]:
        return {
            "losses": progress.losses(),
            "metrics": [beat[4] for beat in progress.beats],
            "events": [event[2] for event in progress.events],
            "usage": [list(usage[:5]) for usage in progress.usage],
            "snapshots": [str(kept.path) for _, kept in progress.snapshots],
            "artifact": str(artifact.path) if artifact else "",
        }


def train_scenario(scenario: Scenario) -> None:
    """One scenario, in this process and the others."""
    folder, progress = Path(scenario.folder), scenario.recorder()

    def opened() -> Progress:
        return progress

    given = work(Path(scenario.base), folder / "run", scenario.member())
    result = train_among(Sharded("cpu"), given, "cpu", opened)
    if result is not None:
        assert result.error is None, result.error
        found = scenario.found(progress, result.artifact)
        (folder / "found.json").write_text(json.dumps(found))


def plan_write(path: Path, scenarios: list[Scenario]) -> Path:
    path.write_text(json.dumps([asdict(each) for each in scenarios]))
    return path


@record
def train_all(plan: Path) -> None:
    torch.set_num_threads(1)
    with process_group("cpu"):
        for given in json.loads(plan.read_text()):
            train_scenario(Scenario(**given))


if __name__ == "__main__":
    if "RANK" in os.environ:
        train_all(Path(sys.argv[1]))
    else:
        launch("tests.workers.engine.distributed.ranks", sys.argv[1:], PROCESSES)
