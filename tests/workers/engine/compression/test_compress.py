"""A whole compression through the protocol: figures, usage, snapshots, refusals, a search."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from tests.workers.engine.factories import (
    Recorder,
    completions,
    handle,
    quantised_folder,
    write_jsonl,
)
from workers.engine.compression.compress import compress
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.report import notes_of, report_read
from workers.engine.compression.specs import FORMATS, GPU_FORMATS, CompressSpec
from workers.engine.compression.unstructured import masks_load
from workers.engine.inference.generate import TextModel
from workers.engine.models import model_load
from workers.engine.protocol import Command, CompressWork, FailureKind, Outcome, Result
from workers.engine.specs import GenerateSpec

HALF = {"mlp": 0.5, "heads": 0.5}


def work_for(base: Path, folder: Path, **settings: Any) -> CompressWork:
    folder.mkdir(parents=True, exist_ok=True)
    data = write_jsonl(folder / "rows.jsonl", completions(40))
    spec = CompressSpec.from_dict({"max_length": 64} | settings)
    return CompressWork(handle(base), "job_1", spec, handle(data), folder / "scratch")


def done(work: CompressWork, progress: Recorder) -> tuple[Path, dict[str, float]]:
    result = compress(work, progress)
    assert result.outcome is Outcome.SUCCEEDED, result.error
    assert result.artifact is not None
    return result.artifact.path, dict(result.metrics)


def ranges(progress: Recorder) -> list[tuple[int, int]]:
    return [(used[2], used[3]) for used in progress.usage]


def test_half_of_it_pruned_and_recovered(base: Path, tmp_path: Path) -> None:
    recover = {"tokens": 3000, "learning_rate": 3e-3, "batch_size": 4}
    progress = Recorder(tmp_path)
    folder, figures = done(work_for(base, tmp_path / "a", prune=HALF, recover=recover), progress)
    config: Any = AutoModelForCausalLM.from_pretrained(folder).config
    assert (config.intermediate_size, config.num_key_value_heads) == (24, 1)
    assert (config.num_attention_heads, config.head_dim) == (2, 8)
    assert figures["parameters"] < figures["dense_parameters"]
    assert figures["bytes"] < figures["dense_bytes"]
    assert figures["latency_ms"] > 0
    _, without = done(work_for(base, tmp_path / "b", prune=HALF), Recorder(tmp_path))
    assert figures["perplexity"] < without["perplexity"]
    assert report_read(folder)["kept"]["mlp.0"] == 24
    steps = [beat[1] for beat in progress.beats]
    assert steps == list(range(1, len(steps) + 1))
    assert {beat[2] for beat in progress.beats} == {steps[-1]}  # the plan was right
    spans = ranges(progress)
    assert spans[0][0] == 0
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    trained = sum(used[4] for used in progress.usage if used[0] == "job_1:recovered")
    assert 2900 < trained <= 3000


@pytest.mark.parametrize("kind", FORMS)
def test_rounded_is_near_and_smaller(kind: str, base: Path, tmp_path: Path) -> None:
    progress = Recorder(tmp_path)
    folder, figures = done(work_for(base, tmp_path, quantise=kind), progress)
    near = 0.2 if kind == "int4_weight" else 0.05
    assert figures["perplexity"] == pytest.approx(figures["dense_perplexity"], rel=near)
    assert figures["bytes"] < figures["dense_bytes"]
    report = report_read(folder)
    assert (report["device"], report["settings"]["quantise"]) == ("cpu", kind)
    errors = report["quantisation_errors"]
    assert len(errors) == 2 * 7
    most = {"int8": 0.02, "float8": 0.04, "int4": 0.16}[kind.partition("_")[0]]
    assert all(most / 20 < error < most for error in errors.values())
    assert model_load(folder)(input_ids=torch.arange(5)[None]).logits.isfinite().all()
    said = [event[2] for event in progress.events if "is meant for a GPU" in event[2]]
    assert said == notes_of(report)
    assert [kind in note for note in said] == [True] * (kind in GPU_FORMATS)


@pytest.mark.parametrize(
    "settings",
    [
        {"prune": HALF},
        {"prune": HALF, "quantise": "int8_dynamic"},
        *({"quantise": kind} for kind in FORMS),
    ],
)
def test_the_runtime_serves_the_changed_shapes(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder, _ = done(work_for(base, tmp_path, **settings), Recorder(tmp_path))
    text = TextModel.load(folder)
    prompt = text.tokenizer.encode("3 blue 3 blue")
    steps = list(text.generate(prompt, GenerateSpec(max_tokens=6, temperature=0)))
    model: Any = model_load(folder)
    expected = prompt[:]
    for _ in steps:
        expected.append(int(model(input_ids=torch.tensor([expected])).logits[0, -1].argmax()))
    assert [step.id for step in steps] == expected[len(prompt) :]


def test_adapters_are_carried_along_also_over_a_crash(base: Path, tmp_path: Path) -> None:
    tuned = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=2, target_modules=["v_proj", "down_proj"], task_type="CAUSAL_LM"),
    )
    tuned.save_pretrained(str(tmp_path / "adapter"))
    recover = {"tokens": 800, "batch_size": 4}
    work = work_for(base, tmp_path, prune=HALF, recover=recover)
    work = replace(work, adapters=(handle(tmp_path / "adapter"),))
    first = Recorder(tmp_path)
    folder, _ = done(work, first)
    small = AutoModelForCausalLM.from_pretrained(folder)
    PeftModel.from_pretrained(small, str(folder / "adapters" / "0"))
    assert set(report_read(folder)["adapter_errors"]) == {"0"}
    resumed = replace(work, resume=first.snapshots[0][1], scratch=tmp_path / "fresh")
    again, _ = done(resumed, Recorder(tmp_path))
    for name in ("adapters/0/adapter_model.safetensors", "adapters/0/adapter_config.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    assert report_read(again)["adapter_errors"] == report_read(folder)["adapter_errors"]


@pytest.mark.parametrize("settings", [{"prune": HALF}, {"quantise": "int8_weight"}])
def test_a_quantised_model_is_not_compressed_again(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    rounded = quantised_folder(base, tmp_path / "rounded")
    result = compress(work_for(rounded, tmp_path / "work", **settings), Recorder(tmp_path))
    assert result.outcome is Outcome.FAILED
    assert result.error == (
        "rounded is quantised already; compress the model that it was made from."
    )


def test_a_search_chooses_among_all_formats(base: Path, tmp_path: Path) -> None:
    """By bytes, with quality let go: the fewest bits."""
    target = {"bytes": 0.1, "quality_loss": 5.0, "ratios": [0.0], "formats": list(FORMATS)}
    folder, _ = done(work_for(base, tmp_path, target=target), Recorder(tmp_path))
    report = report_read(folder)
    assert report["settings"]["quantise"] == "int4_weight"
    found = {each["format"]: each for each in report["search"]["candidates"]}
    assert found.keys() == FORMS.keys()
    assert found["int4_weight"]["bytes"] < found["int8_weight"]["bytes"] < 1
    assert found["float8_weight"]["bytes"] == found["int8_dynamic"]["bytes"]
    assert all(each["latency"] > 0 for each in found.values())


def test_masks_say_that_they_gain_nothing(base: Path, tmp_path: Path) -> None:
    progress = Recorder(tmp_path)
    folder, figures = done(work_for(base, tmp_path, mask={"pattern": "2:4"}), progress)
    weight = model_load(folder).get_submodule("model.layers.0.mlp.up_proj").weight
    assert isinstance(weight, torch.Tensor)
    assert ((weight.reshape(-1, 4) == 0).sum(1) >= 2).all()
    masks = masks_load(folder)
    assert len(masks) == 2 * 7
    assert torch.equal(masks["model.layers.0.mlp.up_proj.weight"], weight != 0)
    assert figures["parameters"] == figures["dense_parameters"]
    assert any("neither faster nor smaller" in event[2] for event in progress.events)


def test_gradually_it_reaches_the_same_shape(base: Path, tmp_path: Path) -> None:
    prune = HALF | {"rounds": 3}
    work = work_for(base, tmp_path, prune=prune, recover={"tokens": 1500})
    folder, _ = done(work, Recorder(tmp_path))
    assert AutoModelForCausalLM.from_pretrained(folder).config.intermediate_size == 24


def test_it_resumes_where_its_snapshot_stood(base: Path, tmp_path: Path) -> None:
    recover = {"tokens": 2500, "batch_size": 4, "hidden": 0.5}
    settings = {"prune": HALF, "recover": recover, "snapshot_every_steps": 7}
    whole = Recorder(tmp_path)
    folder, figures = done(work_for(base, tmp_path / "whole", **settings), whole)
    work = work_for(base, tmp_path / "part", **settings)
    first = Recorder(tmp_path, answer=lambda step: _kill_at(step, whole.snapshots[2][0] + 3))
    with pytest.raises(KeyboardInterrupt):
        compress(work, first)
    step, snapshot = first.snapshots[-1]
    second = Recorder(tmp_path)
    again, same = done(replace(work, resume=snapshot, scratch=tmp_path / "fresh"), second)
    assert second.beats[0][1] == step + 1
    exact = {"perplexity", "loss", "parameters", "bytes"}
    assert {k: same[k] for k in exact} == {k: figures[k] for k in exact}
    kept = [span for span in ranges(first) if span[1] <= step] + ranges(second)
    assert kept == sorted(set(kept))  # nothing twice …
    total = sum(u[4] for u in first.usage if u[3] <= step) + sum(u[4] for u in second.usage)
    assert total == sum(u[4] for u in whole.usage)  # … and nothing lost
    weights = (AutoModelForCausalLM.from_pretrained(f).state_dict() for f in (folder, again))
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


def _kill_at(step: int, wanted: int) -> Command:
    if step == wanted:
        raise KeyboardInterrupt
    return Command.GO


@pytest.mark.parametrize("command", [Command.CANCEL, Command.PAUSE])
def test_it_stops_when_told(base: Path, tmp_path: Path, command: Command) -> None:
    work = work_for(base, tmp_path, prune=HALF, recover={"tokens": 1000})
    progress = Recorder(tmp_path, answer=lambda step: command if step == 8 else Command.GO)
    outcome = {Command.CANCEL: Outcome.CANCELLED, Command.PAUSE: Outcome.PAUSED}[command]
    assert compress(work, progress) == Result("job_1", outcome)
    assert progress.beats[-1][1] == 8
    assert (progress.snapshots[-1][0] == 8) == (command is Command.PAUSE)


def test_too_little_data(base: Path, tmp_path: Path) -> None:
    work = work_for(base, tmp_path, prune={"mlp": 0.5})
    write_jsonl(work.data.path, completions(3)[:1] * 2)
    result = compress(work, Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "too few to calibrate" in str(result.error)
    write_jsonl(work.data.path, [{"prompt": "a", "completion": "b"}] * 4)
    result = compress(work, Recorder(tmp_path))
    assert "least squares over 48 inputs needs at least as many tokens" in str(result.error)


def test_a_search_finds_the_cheapest_within_the_bound(base: Path, tmp_path: Path) -> None:
    target = {"bytes": 0.8, "quality_loss": 0.5, "finalists": 2, "ratios": [0.0, 0.5, 0.9]}
    whole = Recorder(tmp_path)
    folder, figures = done(work_for(base, tmp_path / "a", target=target), whole)
    found = report_read(folder)["search"]
    assert found["reached"]
    assert figures["bytes"] <= 0.8 * figures["dense_bytes"]
    assert figures["perplexity"] <= 1.5 * figures["dense_perplexity"]
    assert len(found["measured"]) == 2
    assert {c["ratio"] for c in found["candidates"]} == {0.0, 0.5}  # 0.9 would leave no head
    assert found["recommended"] in found["front"]
    work = work_for(base, tmp_path / "b", target=target)
    at = whole.snapshots[-1][0] - 1
    first = Recorder(tmp_path, answer=lambda step: _kill_at(step, at))
    with pytest.raises(KeyboardInterrupt):
        compress(work, first)
    _, snapshot = first.snapshots[-1]
    second = Recorder(tmp_path)
    _, same = done(replace(work, resume=snapshot, scratch=tmp_path / "fresh"), second)
    assert len(second.beats) < len(whole.beats) / 2
    assert same["perplexity"] == figures["perplexity"]


def test_a_target_that_nothing_reaches(base: Path, tmp_path: Path) -> None:
    target = {"bytes": 0.01, "quality_loss": 0.5, "finalists": 1, "ratios": [0.0, 0.5]}
    progress = Recorder(tmp_path)
    folder, figures = done(work_for(base, tmp_path, target=target), progress)
    found = report_read(folder)["search"]
    assert not found["reached"]
    assert found["limit"].startswith("size: within the bound on quality, the best takes")
    assert figures["target_reached"] == 0.0
