"""Cohorts: each member comes out as if it had trained alone, whatever its neighbours do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.engine.factories import (
    Recorder,
    chats,
    completions,
    handle,
    spec,
    work,
    write_jsonl,
)
from tests.workers.engine.training.factories import weights
from workers.engine.protocol import Command, FailureKind, Member, Numerics, Outcome, Result
from workers.engine.training import cohort
from workers.engine.training.loop import train
from workers.engine.training.member import Run
from workers.engine.training.optim import Optimiser

CLOSE = {"float32": 1e-5, "float64": 1e-10}


def members(folder: Path, *, steps: int = 200) -> list[Member]:
    """Four tenants who agree on nothing but the base; each makes `steps` updates at least."""
    files = {
        "short": completions(12),
        "long": chats(9) + completions(4),
        "many": completions(30),
        "few": chats(5),
    }
    settings: dict[str, dict[str, Any]] = {
        "short": {"batch_size": 3, "lora": {"rank": 2, "alpha": 4.0}, "schedule": "constant"},
        "long": {
            "batch_size": 4,
            "lora": {"rank": 8, "alpha": 8.0, "dropout": 0.2},
            "schedule": "cosine",
            "warmup_fraction": 0.1,
            "gradient_clip": 0.3,
            "micro_batch_tokens": 96,
        },
        "many": {
            "batch_size": 6,
            "lora": {"rank": 3, "alpha": 9.0, "target_modules": ["q_proj", "down_proj"]},
            "weight_decay": 0.1,
            "betas": [0.8, 0.99],
        },
        "few": {
            "batch_size": 5,
            "lora": {"rank": 1, "alpha": 1.0, "target_modules": ["v_proj"]},
            "optimiser": "sgd",
            "momentum": 0.9,
            "learning_rate": 0.02,
        },
    }
    found = []
    for number, (key, rows) in enumerate(files.items()):
        per_epoch = -(-len(rows) // settings[key]["batch_size"])
        given = {"learning_rate": 2e-3, "seed": number, "epochs": -(-steps // per_epoch)}
        path = write_jsonl(folder / f"{key}.jsonl", rows)
        found.append(Member(key, spec(**given | settings[key]), handle(path)))
    return found


def trained(
    base: Path,
    folder: Path,
    given: Sequence[Member],
    progress: Any = None,
    *,
    together: bool,
    dtype: str = "float32",
    pass_tokens: int = 300,
) -> dict[str, Result]:
    asked = replace(
        work(base, folder, *given),
        numerics=Numerics(dtype=dtype),
        together=together,
        pass_tokens=pass_tokens,
    )
    return {r.key: r for r in train(asked, progress or Recorder(folder.parent))}


def apart(one: Result, other: Result) -> float:
    """The largest relative L2 distance between two adapters' tensors."""
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    return max(
        float((tensor - theirs[name]).norm() / theirs[name].norm()) for name, tensor in mine.items()
    )


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
def test_every_members_weights_are_those_of_its_run_alone(
    base: Path, tmp_path: Path, dtype: str
) -> None:
    given = members(tmp_path)
    alone = trained(base, tmp_path / "alone", given, together=False, dtype=dtype)
    shared = trained(base, tmp_path / "shared", given, together=True, dtype=dtype)
    assert set(shared) == {"short", "long", "many", "few"}
    for key, result in shared.items():
        assert result.metrics["steps"] >= 200
        assert result.metrics["trained_tokens"] == alone[key].metrics["trained_tokens"]
        assert apart(result, alone[key]) <= CLOSE[dtype], key


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_other_families_share_passes_too(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    given = [replace(m, spec=replace(m.spec, lora=replace(m.spec.lora, target_modules="auto")))
             for m in members(tmp_path, steps=20)]  # fmt: skip
    alone, shared = (
        trained(bases[family], tmp_path / name, given, together=name == "shared", dtype="float64")
        for name in ("alone", "shared")
    )
    assert max(apart(result, alone[key]) for key, result in shared.items()) <= CLOSE["float64"]


def test_a_shared_gradient_norm_would_be_caught(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given clipping by the norm over everybody's gradients
    given = members(tmp_path, steps=20)
    alone = trained(base, tmp_path / "alone", given, together=False)
    own, keep = Optimiser.gather, cohort.Cohort._gather
    total: list[float] = []

    def remember(self: Any, runs: Sequence[Run]) -> Any:
        found = keep(self, runs)
        everybodys = [p.grad for run in runs for p in run.optimiser.parameters]
        total[:] = [float(torch.cat([g.reshape(-1) for g in everybodys]).norm())]
        return found

    monkeypatch.setattr(cohort.Cohort, "_gather", remember)
    monkeypatch.setattr(Optimiser, "gather", lambda self: own(self) * 0 + total[0])
    shared = trained(base, tmp_path / "shared", given, together=True)
    assert apart(shared["long"], alone["long"]) > 100 * CLOSE["float32"]


def test_a_step_on_an_absent_members_momentum_would_be_caught(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an optimiser that steps for those too who had no part in the pass
    given = members(tmp_path, steps=20)
    alone = trained(base, tmp_path / "alone", given, together=False)
    whole = cohort.Cohort._gather
    turn = iter(range(10**6))

    def every_other(self: Any, runs: Sequence[Run]) -> Any:
        absent = {"long"} if next(turn) % 2 and len(runs) > 1 else set()
        for run in runs:
            if run.member.key in absent:
                for parameter in run.optimiser.parameters:
                    parameter.grad = torch.zeros_like(parameter)
                run.optimiser.gather()
                run.optimiser.step(run.spec.learning_rate)
        return whole(self, [run for run in runs if run.member.key not in absent])

    monkeypatch.setattr(cohort.Cohort, "_gather", every_other)
    shared = trained(base, tmp_path / "shared", given, together=True)
    assert apart(shared["long"], alone["long"]) > 100 * CLOSE["float32"]
    assert apart(shared["short"], alone["short"]) <= CLOSE["float32"]


def test_members_come_and_go(base: Path, tmp_path: Path) -> None:
    # given two who start, one who joins later, and one who cannot share a pass
    first, second, third, last = members(tmp_path, steps=12)
    whole = replace(last, key="whole", spec=spec(method="full", epochs=1))
    alone = trained(base, tmp_path / "alone", [first, second, third, whole], together=False)
    progress = Recorder(tmp_path, newcomers=[third, whole])
    shared = trained(base, tmp_path / "shared", [first, second], progress, together=True)
    assert set(shared) == {"short", "long", "many", "whole"}
    assert all(apart(result, alone[key]) <= CLOSE["float32"] for key, result in shared.items())
    # and the late one's beats came among the others'
    order = [key for key, _, _, _, told in progress.beats if "loss" in told]
    assert order.index("many") < len(order) - 1 - order[::-1].index("short")


class Orders(Recorder):
    """Answers each member's beats with an order of its own, after so many steps."""

    def __init__(self, keep: Path, orders: dict[str, tuple[int, Command]]) -> None:
        super().__init__(keep)
        self.orders = orders

    def beat(self, key: str, step: int, *given: Any) -> Command:
        super().beat(key, step, *given)
        at, command = self.orders.get(key, (-1, Command.GO))
        return command if step == at else Command.GO


def test_a_members_pause_and_cancel_are_its_own_and_it_resumes_alone(
    base: Path, tmp_path: Path
) -> None:
    given = members(tmp_path, steps=12)
    alone = trained(base, tmp_path / "alone", given, together=False)
    orders = Orders(tmp_path, {"long": (5, Command.PAUSE), "few": (3, Command.CANCEL)})
    shared = trained(base, tmp_path / "shared", given, orders, together=True)
    assert {key: r.outcome for key, r in shared.items()} == {
        "short": Outcome.SUCCEEDED,
        "long": Outcome.PAUSED,
        "many": Outcome.SUCCEEDED,
        "few": Outcome.CANCELLED,
    }
    for key in ("short", "many"):
        assert apart(shared[key], alone[key]) <= CLOSE["float32"]
    # when the paused one goes on by itself
    ((step, snapshot),) = orders.snapshots
    again = Recorder(tmp_path)
    resumed = trained(
        base, tmp_path / "again", [replace(given[1], resume=snapshot)], again, together=False
    )
    # then it ends where it would have, and says that rounding differs
    assert step == 5
    assert apart(resumed["long"], alone["long"]) <= CLOSE["float32"]
    assert any("within rounding" in message for _, _, message, _ in again.events)


def test_a_members_failure_is_its_own(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one with bad data, and one whose weights turn into no numbers in its fourth update
    given = members(tmp_path, steps=12)
    alone = trained(base, tmp_path / "alone", given, together=False)
    bad = replace(given[3], data=handle(write_jsonl(tmp_path / "bad.jsonl", [{"prompt": "x"}])))
    keep = Run.conclude

    def broken(run: Run, *given: Any, **rest: Any) -> Any:
        done = keep(run, *given, **rest)
        if run.member.key == "many" and run.state.step == 3:
            run.optimiser.parameters[0].data.fill_(float("nan"))
        return done

    monkeypatch.setattr(Run, "conclude", broken)
    shared = trained(base, tmp_path / "shared", [*given[:3], bad], together=True)
    assert (shared["few"].outcome, shared["many"].outcome) == (Outcome.FAILED, Outcome.FAILED)
    assert "completion" in str(shared["few"].error)
    assert "the loss of step 4 is nan" in str(shared["many"].error)
    for key in ("short", "long"):
        assert apart(shared[key], alone[key]) <= CLOSE["float32"], key


def test_usage_is_each_members_own_and_time_is_split_by_work(base: Path, tmp_path: Path) -> None:
    given = members(tmp_path, steps=12)
    progress = Recorder(tmp_path)
    shared = trained(base, tmp_path / "shared", given, progress, together=True)
    used = {key: [0, 0.0] for key in shared}
    for key, _, _, _, tokens, seconds, _ in progress.usage:
        used[key][0] += tokens
        used[key][1] += seconds
    for key, result in shared.items():
        assert used[key][0] == result.metrics["trained_tokens"]
    per_token = [seconds / tokens for tokens, seconds in used.values()]
    assert max(per_token) < 6 * min(per_token)  # the step itself is each one's own


def test_running_out_of_memory_makes_passes_smaller_and_ends_only_who_does_not_fit(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dropout draws one mask per pack, so it would see the difference
    given = [replace(m, spec=replace(m.spec, lora=replace(m.spec.lora, dropout=0.0)))
             for m in members(tmp_path, steps=12)]  # fmt: skip
    alone = trained(base, tmp_path / "alone", given, together=False)
    whole = cohort.Cohort._pass

    def tight(self: Any, portions: Any) -> Any:
        if sum(p.pack.tokens for p in portions) > 60:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, portions)

    monkeypatch.setattr(cohort.Cohort, "_pass", tight)
    shared = trained(base, tmp_path / "shared", given, together=True, pass_tokens=4096)
    failed = {key: r.failure for key, r in shared.items() if r.outcome is Outcome.FAILED}
    assert failed == dict.fromkeys(failed, FailureKind.PLATFORM)
    assert set(failed) < set(shared)
    for key in set(shared) - set(failed):
        assert apart(shared[key], alone[key]) <= CLOSE["float32"], key


def test_a_base_that_cannot_be_loaded_fails_everybody(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shared = trained(empty, tmp_path / "shared", members(tmp_path), together=True)
    assert {r.failure for r in shared.values()} == {FailureKind.PLATFORM}
    assert len(shared) == 4
