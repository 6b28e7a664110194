"""Two processes over gloo come to what one comes to: losses, weights, snapshots, work reports.

One process adds the terms of an update in another order than two, so numbers agree within fp32's
rounding (2⁻²⁴ of each sum, grown over the steps before), not to the bit: 1e-5 is 170 such roundings
and far below what a lost example or a gradient counted twice makes (the last test shows that).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.workers.engine.distributed.ranks import PROCESSES, Scenario, plan_write
from tests.workers.engine.factories import chats, completions, work, write_jsonl
from workers.engine.training.loop import train
from workers.tasks.process import ROOT

SAME = 1e-5

PAIRS = [
    {"prompt": f"{n} and one make", "chosen": f" {n + 1}" * (1 + n % 3), "rejected": " nothing"}
    for n in range(8)
]
LABELLED = [
    {"text": f"{n} and" * (1 + n % 5), "label": "odd" if n % 2 else "even"} for n in range(17)
]

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    # small passes: several an update in each process, and not as many in each
    "full": ("llama", {"method": "full", "micro_batch_tokens": 40, "gradient_clip": 0.1}),
    "recomputed": ("qwen3", {"method": "full", "activation_checkpointing": "full"}),
    "lora": ("qwen2", {"weight_decay": 0.1, "activation_checkpointing": "full"}),
    "dora": ("llama", {"lora": {"rank": 3, "use_dora": True}}),
    "tied": ("gpt2", {"method": "full", "optimiser": "sgd", "momentum": 0.9}),
    "one at a time": ("mistral", {"batch_size": 1, "epochs": 1, "method": "full"}),
    "preference": ("llama", {"task": "preference", "epochs": 1}),
    "classes": ("llama", {"task": "text_classification", "method": "full", "max_length": 64}),
}


@dataclass(frozen=True)
class Outcome:
    """What a scenario showed."""

    found: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]

    @property
    def losses(self) -> list[float]:
        losses: list[float] = self.found["losses"]
        return losses


def alone(scenario: Scenario) -> Outcome:
    """The scenario in this one process."""
    progress = scenario.recorder()
    base, folder = Path(scenario.base), Path(scenario.folder)
    (result,) = train(work(base, folder / "run", scenario.member()), progress)
    assert result.error is None, result.error
    return outcome(scenario.found(progress, result.artifact))


def together(folder: Path, scenarios: list[Scenario]) -> list[Outcome]:
    """The scenarios one after another, in two processes that are started once."""
    plan = plan_write(folder / "plan.json", scenarios)
    done = subprocess.run(
        [sys.executable, "-m", "tests.workers.engine.distributed.ranks", str(plan)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr.decode()[-8000:]
    found = [json.loads((Path(each.folder) / "found.json").read_text()) for each in scenarios]
    return [outcome(each) for each in found]


def outcome(found: Mapping[str, Any]) -> Outcome:
    if not found["artifact"]:
        return Outcome(found, {})
    (path,) = Path(found["artifact"]).glob("*.safetensors")
    return Outcome(found, load_file(path))


@pytest.fixture(scope="module")
def outcomes(
    bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Outcome, Outcome]]:
    """Of each case, and of runs that go on with another number of processes: one's and two's."""
    root = tmp_path_factory.mktemp("sharded")
    files = {
        "text_generation": (completions(13) + chats(4), completions(20)[13:]),
        "preference": (PAIRS, []),
        "text_classification": (LABELLED, LABELLED[:7]),
    }
    paths = {
        task: [
            str(write_jsonl(root / f"{task}-{number}.jsonl", rows)) if rows else ""
            for number, rows in enumerate(both)
        ]
        for task, both in files.items()
    }

    def scenario(name: str, **changes: Any) -> Scenario:
        family, settings = CASES[name]
        data, held_out = paths[settings.get("task", "text_generation")]
        given = Scenario(str(bases[family]), data, str(root / name / "two"), settings, held_out)
        return replace(given, **changes)

    def one(given: Scenario) -> Outcome:
        return alone(replace(given, folder=given.folder + " one"))

    cases = [scenario(name) for name in CASES]
    ones = {name: one(given) for name, given in zip(CASES, cases, strict=True)}
    # one pauses and two go on
    paused = one(scenario("full", folder=str(root / "paused by one"), pause=4))
    taken = replace(cases[0], folder=str(root / "taken"), resume=paused.found["snapshots"][0])
    # two pause and one goes on
    pausing = scenario("full", folder=str(root / "paused by two"), pause=4)
    *twos, went_on, stopped = together(root, [*cases, taken, pausing])
    resumed = one(replace(cases[0], folder=str(root / "r"), resume=stopped.found["snapshots"][0]))
    pairs_found = {name: (ones[name], two) for name, two in zip(CASES, twos, strict=True)}
    return pairs_found | {
        "one, then two": (ones["full"], went_on),
        "two, then one": (ones["full"], resumed),
    }


@pytest.mark.parametrize("name", CASES)
def test_two_processes_come_to_what_one_comes_to(
    outcomes: dict[str, tuple[Outcome, Outcome]], name: str
) -> None:
    one, two = outcomes[name]
    assert len(two.losses) == len(one.losses) > 8 or name == "preference"
    assert two.losses == pytest.approx(one.losses, rel=SAME)
    for theirs, ours in zip(one.found["metrics"], two.found["metrics"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)  # norms, held-out losses, counts
    same_weights(one, two)
    assert two.found["usage"] == one.found["usage"]  # the same tokens, sold under the same names
    assert any(f"{PROCESSES} of 1 processes" in said for said in two.found["events"])


@pytest.mark.parametrize("name", ["one, then two", "two, then one"])
def test_a_snapshot_is_read_by_another_number_of_processes(
    outcomes: dict[str, tuple[Outcome, Outcome]], name: str
) -> None:
    whole, resumed = outcomes[name]
    assert resumed.losses == pytest.approx(whole.losses[4:], rel=SAME)
    same_weights(whole, resumed)
    assert any("within rounding" in said for said in resumed.found["events"])


def same_weights(one: Outcome, two: Outcome) -> None:
    assert one.weights.keys() == two.weights.keys()
    for name, weight in one.weights.items():
        away = (two.weights[name] - weight).norm() / weight.norm().clamp_min(1e-3)
        assert away < 1e-4, name


def test_the_bound_would_catch_an_example_lost(bases: dict[str, Path], tmp_path: Path) -> None:
    # given the data of the runs above, and the same with one word of one example changed
    rows = completions(13) + chats(4)
    texts = write_jsonl(tmp_path / "train.jsonl", rows)
    odd = write_jsonl(tmp_path / "odd.jsonl", [{**rows[0], "completion": "is odd"}, *rows[1:]])
    settings = {"method": "full", "epochs": 1}
    given = Scenario(str(bases["llama"]), str(texts), str(tmp_path / "a"), settings)
    right = alone(given).losses
    wrong = alone(replace(given, data=str(odd), folder=str(tmp_path / "b"))).losses
    assert wrong != pytest.approx(right, rel=100 * SAME)
