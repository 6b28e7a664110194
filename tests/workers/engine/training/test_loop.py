"""The training loop: it learns, obeys, reports, and resumes bit for bit."""

from __future__ import annotations

import gc
import math
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import get_linear_schedule_with_warmup

from tests.workers.engine.factories import (
    Recorder,
    chats,
    completions,
    handle,
    reference_model,
    spec,
    work,
    write_jsonl,
)
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.order import epoch_order
from workers.engine.data.readers import Example, read_examples
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import DivergedError
from workers.engine.protocol import Command, FailureKind, Member, Outcome, Result
from workers.engine.training import member
from workers.engine.training.loop import train
from workers.engine.training.opening import Base, session_open


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "train.jsonl", completions() + chats())


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "validation.jsonl", completions(40)[24:])


def run(
    base: Path, data: Path, folder: Path, progress: Recorder, *, name: str = "run", **given: Any
) -> Result:
    resume, validation = given.pop("resume", None), given.pop("validation", None)
    member = Member(
        "m",
        spec(**given),
        handle(data),
        resume=resume,
        validation=handle(validation) if validation else None,
    )
    (result,) = train(work(base, folder / name, member), progress)
    return result


def weights(result: Result) -> dict[str, torch.Tensor]:
    assert result.artifact is not None, result.error
    (path,) = result.artifact.path.glob("*.safetensors")
    return load_file(path)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_lowers_loss_on_held_out_data(
    base: Path, data: Path, validation: Path, tmp_path: Path, method: str
) -> None:
    progress = Recorder(tmp_path)
    rate = {"lora": 3e-2, "full": 5e-3}[method]
    result = run(
        base,
        data,
        tmp_path,
        progress,
        method=method,
        learning_rate=rate,
        validation=validation,
        epochs=4,
    )
    assert result.outcome is Outcome.SUCCEEDED
    assert result.metrics["validation_loss"] < 0.7 * result.metrics["initial_validation_loss"]
    assert [step for step, *_ in progress.checkpoints] == [9, 18, 27, 36]


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_paused_run_resumes_bit_for_bit(
    base: Path, data: Path, validation: Path, tmp_path: Path, method: str, optimiser: str
) -> None:
    # given an uninterrupted run
    settings: dict[str, Any] = {
        "method": method,
        "optimiser": optimiser,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.2},
        "validation": validation,
    }
    whole = run(base, data, tmp_path, Recorder(tmp_path), name="whole", **settings)
    stop = random.Random(f"{method}{optimiser}").randrange(1, 18)
    # when another is paused at a random step and a third resumes from its snapshot
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == stop else Command.GO)
    first = run(base, data, tmp_path, paused, name="first", **settings)
    ((step, snapshot),) = paused.snapshots
    resumed = Recorder(tmp_path)
    second = run(base, data, tmp_path, resumed, name="second", resume=snapshot, **settings)
    # then nothing differs from never having stopped
    assert (first.outcome, step) == (Outcome.PAUSED, stop)
    assert resumed.events[1][3] == {"step": stop, "bit_equal": True}
    wanted, found = weights(whole), weights(second)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert second.metrics == whole.metrics


def test_a_run_killed_at_a_random_step_resumes_bit_for_bit_and_reports_work_once(
    base: Path, data: Path, validation: Path, tmp_path: Path
) -> None:
    # given a run with a snapshot every three steps, and the work that it reports
    settings: dict[str, Any] = {"snapshot_every_steps": 3, "validation": validation, "epochs": 3}
    calm = Recorder(tmp_path)
    whole = run(base, data, tmp_path, calm, name="whole", **settings)
    # when another process dies at a random step, and the next attempt starts from the last snapshot
    death = random.Random(4).randrange(4, 26)

    def die(step: int) -> Command:
        if step == death:
            raise ConnectionError("the parent is gone")
        return Command.GO

    killed = Recorder(tmp_path, die)
    with pytest.raises(ConnectionError):
        run(base, data, tmp_path, killed, name="killed", **settings)
    step, snapshot = killed.snapshots[-1]
    resumed = Recorder(tmp_path)
    second = run(base, data, tmp_path, resumed, name="resumed", resume=snapshot, **settings)
    # then the weights are the same, and so are the work reports, told apart by their number
    assert death - 3 <= step <= death
    found = weights(second)
    assert all(torch.equal(w, found[name]) for name, w in weights(whole).items())
    told = {usage[1]: usage[:5] for usage in [*killed.usage, *resumed.usage]}
    assert list(told.values()) == [usage[:5] for usage in calm.usage]
    assert [m for *_, m in calm.beats if "loss" in m][step:] == [
        m for *_, m in resumed.beats if "loss" in m
    ]


def test_work_reports_cover_every_step_once_and_all_tokens(
    base: Path, data: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path)
    result = run(base, data, tmp_path, progress, epochs=3)
    intervals = [(seq, start, stop) for _, seq, start, stop, *_ in progress.usage]
    assert intervals == [(0, 0, 10), (1, 10, 20), (2, 20, 27)]
    tokens = sum(usage[4] for usage in progress.usage)
    assert tokens == result.metrics["trained_tokens"] == 3 * size_of(base, data)
    assert all(usage[5] > 0 and usage[6] > 0 for usage in progress.usage)


def size_of(base: Path, data: Path) -> int:
    tokenizer, template = Tokenizer.load(base), ChatTemplate.load(base)
    examples = read_examples(data, tokenizer, template, "error", 96)
    return sum(len(example.ids) for example in examples if isinstance(example, Example))


def test_beats_come_once_per_update_and_the_cursor_only_grows(
    base: Path, data: Path, validation: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path)
    run(base, data, tmp_path, progress, validation=validation)
    updates = [(step, of) for _, step, of, _, metrics in progress.beats if "loss" in metrics]
    assert updates == [(n, 18) for n in range(1, 19)]
    cursors = [(c["epoch"], c["example"], c["evaluated"]) for *_, c, _ in progress.beats]
    assert cursors == sorted(cursors)
    assert len(set(cursors)) > len(cursors) - 4  # only the closing of a round repeats its place
    for *_, metrics in progress.beats:
        if "loss" in metrics:
            assert {"loss", "learning_rate", "tokens", "grad_norm"} <= metrics.keys()


@pytest.mark.parametrize("change", [{"packing": False}, {"micro_batch_tokens": 40}])
def test_accumulation_equals_one_big_batch(
    base: Path, data: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    # given the same updates in one forward pass each, and in many
    settings: dict[str, Any] = {"method": "full", "optimiser": "sgd", "learning_rate": 0.05}
    one = Recorder(tmp_path)
    big = run(base, data, tmp_path, one, name="big", micro_batch_tokens=100_000, **settings)
    many = Recorder(tmp_path)
    small = run(base, data, tmp_path, many, name="small", **settings, **change)
    # then losses and weights agree, although examples have different numbers of learned tokens
    assert one.losses() == pytest.approx(many.losses(), abs=1e-5)
    found = weights(small)
    assert all(torch.allclose(w, found[n], atol=1e-5) for n, w in weights(big).items())


def test_an_update_equals_torchs_on_transformers_loss(
    base: Path, data: Path, tmp_path: Path
) -> None:
    """Six AdamW updates of a full fine-tune, done again by transformers' loss and torch's
    optimiser."""
    progress = Recorder(tmp_path)
    result = run(
        base,
        data,
        tmp_path,
        progress,
        method="full",
        epochs=1,
        batch_size=6,
        seed=3,
        weight_decay=0.1,
    )
    model = reference_model(base)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    schedule = get_linear_schedule_with_warmup(optimiser, 0, 6)
    examples = list(read_examples(data, Tokenizer.load(base), ChatTemplate.load(base), "error", 96))
    losses = []
    for places in epoch_order(3, 0, 36).reshape(6, 6):
        batch = [examples[place] for place in places]
        count = sum(example.loss_tokens for example in batch)
        total = 0.0
        for example in batch:
            labels = [t if on else -100 for t, on in zip(example.ids, example.mask, strict=True)]
            out = model(input_ids=torch.tensor([example.ids]), labels=torch.tensor([labels]))
            part = out.loss * example.loss_tokens / count
            part.backward()
            total += part.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(total)
    assert progress.losses() == pytest.approx(losses, abs=1e-5)
    found = weights(result)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, found[name], atol=1e-4), name


def test_checkpointed_activations_train_the_same_weights(
    base: Path, data: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"lora": {"rank": 4, "alpha": 8.0, "dropout": 0.3}}
    plain = run(base, data, tmp_path, Recorder(tmp_path), name="plain", **settings)
    again = run(
        base,
        data,
        tmp_path,
        Recorder(tmp_path),
        name="again",
        activation_checkpointing="full",
        **settings,
    )
    found = weights(again)
    assert all(torch.equal(w, found[n]) for n, w in weights(plain).items())


def test_a_snapshot_on_demand_does_not_disturb(base: Path, data: Path, tmp_path: Path) -> None:
    calm = run(base, data, tmp_path, Recorder(tmp_path), name="calm")
    asked = Recorder(tmp_path, lambda step: Command.SNAPSHOT if step == 5 else Command.GO)
    result = run(base, data, tmp_path, asked, name="asked")
    assert [step for step, _ in asked.snapshots] == [5]
    found = weights(result)
    assert all(torch.equal(w, found[n]) for n, w in weights(calm).items())


def test_cancel_stops_without_a_snapshot_and_reports_what_was_used(
    base: Path, data: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path, lambda step: Command.CANCEL if step == 4 else Command.GO)
    result = run(base, data, tmp_path, progress)
    assert (result.outcome, result.artifact) == (Outcome.CANCELLED, None)
    assert progress.snapshots == []
    assert [usage[1:4] for usage in progress.usage] == [(0, 0, 4)]
    assert progress.beats[-1][1] == 4


@pytest.mark.parametrize("command", [Command.PAUSE, Command.CANCEL])
def test_an_evaluation_can_be_interrupted(
    base: Path, data: Path, validation: Path, tmp_path: Path, command: Command
) -> None:
    progress = Recorder(tmp_path, lambda _step: command)
    result = run(base, data, tmp_path, progress, validation=validation)
    assert (
        result.outcome
        == {Command.PAUSE: Outcome.PAUSED, Command.CANCEL: Outcome.CANCELLED}[command]
    )
    assert len(progress.beats) == 1
    if command is Command.PAUSE:
        ((step, snapshot),) = progress.snapshots
        again = run(
            base,
            data,
            tmp_path,
            Recorder(tmp_path),
            name="again",
            resume=snapshot,
            validation=validation,
        )
        assert step == 0
        assert "initial_validation_loss" in again.metrics


def test_divergence_is_the_customers_and_leaves_the_last_good_weights(
    base: Path, data: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path)
    result = run(
        base,
        data,
        tmp_path,
        progress,
        method="full",
        optimiser="sgd",
        learning_rate=100,
        gradient_clip=0,
        snapshot_every_steps=1,
    )
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "Lower learning_rate (now 100)" in str(result.error)
    last = load_file(progress.snapshots[-1][1].path / "delta.safetensors")
    assert all(bool(w.isfinite().all()) for w in last.values())
    assert progress.usage[-1][3] == progress.beats[-1][1]


def test_running_out_of_memory_halves_the_packs_and_says_so(base: Path, tmp_path: Path) -> None:
    # given one update over 36,000 tokens in a single pass, and a process that may not grow that
    # much
    long = [{"prompt": f"{n} " + "for " * 80, "completion": f"it is {n}"} for n in range(400)]
    data = write_jsonl(tmp_path / "long.jsonl", long)
    settings: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 400,
        "method": "full",
        "optimiser": "sgd",
    }
    calm = run(base, data, tmp_path, Recorder(tmp_path), name="calm", **settings)
    progress = Recorder(tmp_path)
    with address_space_limited(more_bytes=100 * 2**20):
        tight = run(
            base, data, tmp_path, progress, name="tight", micro_batch_tokens=100_000, **settings
        )
    # then the update is the same within rounding, and a person can read why it is slower
    found = weights(tight)
    assert all(torch.allclose(w, found[n], atol=1e-5) for n, w in weights(calm).items())
    _, (_, level, message, told) = progress.events
    assert (level, message[:14]) == ("warn", "Memory ran out")
    assert told["micro_batch_tokens"] < 20_000


@contextmanager
def address_space_limited(*, more_bytes: int) -> Iterator[None]:
    """Let this process take `more_bytes` beyond what it has now."""
    gc.collect()
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_one_example_too_large_for_memory_is_the_platforms(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(member, "logits_of", refuse)
    result = run(base, data, tmp_path, Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.PLATFORM)
    assert "does not fit in memory; lower max_length" in str(result.error)


def test_members_train_one_after_another_and_do_not_touch_each_other(
    base: Path, data: Path, tmp_path: Path
) -> None:
    # given a pass whose second member fails and whose fourth joins late
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"prompt": "x"}])
    late = Member("late", spec(), handle(data))
    progress = Recorder(tmp_path, newcomers=[late])
    members = (
        Member("one", spec(), handle(data)),
        Member("bad", spec(), handle(bad)),
        Member("full", spec(method="full"), handle(data)),
    )
    results = {r.key: r for r in train(work(base, tmp_path / "pass", *members), progress)}
    # then each ends as it would alone
    assert [r.outcome.value for r in results.values()] == [
        "succeeded",
        "failed",
        "succeeded",
        "succeeded",
    ]
    alone = weights(run(base, data, tmp_path, Recorder(tmp_path), name="alone"))
    for key in ("one", "late"):
        found = weights(results[key])
        assert all(torch.equal(w, found[n]) for n, w in alone.items())


def test_a_fine_tune_continues_from_an_earlier_adapter(
    base: Path, data: Path, validation: Path, tmp_path: Path
) -> None:
    # given an adapter of rank 4
    first = run(base, data, tmp_path, Recorder(tmp_path), name="first", validation=validation)
    assert first.artifact is not None
    # when further fine-tunes start from it, whatever rank they were asked for
    for method in ("lora", "full"):
        member_ = Member(
            "m",
            spec(method=method, lora={"rank": 2}),
            handle(data),
            validation=handle(validation),
            adapter=first.artifact,
        )
        (second,) = train(work(base, tmp_path / method, member_), Recorder(tmp_path))
        # then they go on where it stood
        assert second.metrics["initial_validation_loss"] == pytest.approx(
            first.metrics["validation_loss"], abs=1e-5
        )


def test_bad_data_fail_as_the_customers_and_name_the_line(base: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "bad.jsonl", [*completions(3), {"prompt": "x"}])
    result = run(base, data, tmp_path, Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "line 4, completion" in str(result.error)


def test_the_start_says_what_is_trained_on_and_what_was_left_off(
    base: Path, data: Path, tmp_path: Path
) -> None:
    whole, cut = Recorder(tmp_path), Recorder(tmp_path)
    run(base, data, tmp_path, whole, name="whole")
    run(base, data, tmp_path, cut, name="cut", max_length=30, length_policy="truncate")
    (_, level, message, told) = whole.events[0]
    assert (level, told["examples"], told["cut_tokens"], told["steps"]) == ("info", 36, 0, 18)
    assert told["tokens"] == size_of(base, data)
    assert "36 examples" in message
    (_, level, message, less) = cut.events[0]
    assert (level, less["tokens"] + less["cut_tokens"]) == ("warn", told["tokens"])
    assert "left off" in message


def test_bad_validation_data_are_told_apart(base: Path, data: Path, tmp_path: Path) -> None:
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"text": ""}])
    result = run(base, data, tmp_path, Recorder(tmp_path), validation=bad)
    assert "in the validation file, " in str(result.error)


def test_weights_that_broke_are_never_handed_over(base: Path, data: Path, tmp_path: Path) -> None:
    # given a session whose last update made one weight infinite
    progress, given = Recorder(tmp_path), Member("m", spec(), handle(data))
    with session_open(Base(work(base, tmp_path / "run", given)), given, progress) as session:
        done = session.run.update()
        next(iter(session.run.parameters.values())).data.view(-1)[0] = torch.inf
        assert math.isfinite(done.loss)
        # then neither a checkpoint nor a result comes of it
        with pytest.raises(DivergedError, match="lower learning_rate"):
            session.finished()
        session.run.state.closed = 1
        with pytest.raises(DivergedError):
            session.close_round()
    assert progress.checkpoints == []
