"""The training loop: it learns, obeys and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from tests.workers.engine.factories import (
    Recorder,
    handle,
    reference_model,
    spec,
    work,
    write_jsonl,
)
from tests.workers.engine.training.factories import run, size_of, weights
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.order import epoch_order
from workers.engine.data.readers import read_examples
from workers.engine.data.tokens import Tokenizer
from workers.engine.protocol import Command, Member, Outcome
from workers.engine.training.loop import train


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
    """Six AdamW updates of a full fine-tune, again by transformers' loss and torch's optimiser."""
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


@pytest.mark.parametrize("mode", ["selective", "full"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_checkpointed_activations_train_the_same_weights(
    base: Path, data: Path, tmp_path: Path, method: str, mode: str
) -> None:
    settings: dict[str, Any] = {
        "method": method,
        "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.3},
    }
    plain = run(base, data, tmp_path, Recorder(tmp_path), name="plain", **settings)
    again = run(
        base,
        data,
        tmp_path,
        Recorder(tmp_path),
        name="again",
        activation_checkpointing=mode,
        **settings,
    )
    found = weights(again)
    assert all(torch.equal(w, found[n]) for n, w in weights(plain).items())


def test_cancel_stops_without_a_snapshot_and_reports_what_was_used(
    base: Path, data: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path, lambda step: Command.CANCEL if step == 4 else Command.GO)
    result = run(base, data, tmp_path, progress)
    assert (result.outcome, result.artifact) == (Outcome.CANCELLED, None)
    assert progress.snapshots == []
    assert [usage[1:4] for usage in progress.usage] == [(0, 0, 4)]
    assert progress.beats[-1][1] == 4


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


@pytest.fixture
def contrary(tmp_path: Path) -> Path:
    """Held-out rows that training only makes less likely: words that it never shows."""
    rows = [{"prompt": f"{n} red", "completion": "zebra quartz jukebox!"} for n in range(6)]
    return write_jsonl(tmp_path / "contrary.jsonl", rows)


def test_training_stops_early_where_validation_no_longer_improves(
    base: Path, data: Path, contrary: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path)
    settings: dict[str, Any] = {"learning_rate": 0.03, "epochs": 12, "validation": contrary}
    result = run(base, data, tmp_path, progress, patience=2, **settings)
    # then it ends two epochs after the best one, and names that one
    found = [m["validation_loss"] for *_, m in progress.beats if "validation_loss" in m]
    best = found.index(min(found))
    assert len(found) == best + 3 < 13
    assert result.outcome is Outcome.SUCCEEDED
    assert result.metrics["steps"] == 9 * (best + 2)
    (_, _, message, told) = progress.events[-1]
    assert (told["step"], told["best_step"]) == (9 * (best + 2), 9 * best)
    assert message.startswith("Stopped early")


def test_an_early_stop_is_the_same_after_a_resume(
    base: Path, data: Path, contrary: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "learning_rate": 0.03, "epochs": 12, "validation": contrary, "patience": 2,
    }  # fmt: skip
    whole = run(base, data, tmp_path, Recorder(tmp_path), name="whole", **settings)
    last = int(whole.metrics["steps"])
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == last - 4 else Command.GO)
    run(base, data, tmp_path, paused, name="paused", **settings)
    ((_, snapshot),) = paused.snapshots
    again = run(base, data, tmp_path, Recorder(tmp_path), name="again", resume=snapshot, **settings)
    assert last < 9 * 12
    assert again.metrics == whole.metrics
