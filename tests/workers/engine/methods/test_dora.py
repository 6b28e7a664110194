"""DoRA against PEFT: the same files, logits, gradients and training; merged and served alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tests.workers.engine.factories import (
    FAMILIES,
    Recorder,
    completions,
    handle,
    reference_model,
    work,
    write_jsonl,
)
from tests.workers.engine.factories import spec as fine_tune
from tests.workers.engine.methods.test_lora import IDS, batch, saved_adapter, spec
from workers.engine.errors import AdapterError
from workers.engine.export.merged import merge_into
from workers.engine.inference.adapters import AdapterShelf
from workers.engine.losses import loss_sum
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.methods.lora.layer import row_lengths
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.models import logits_of, model_load
from workers.engine.protocol import Member, Outcome
from workers.engine.training.cohort import shares_a_pass
from workers.engine.training.loop import train

CLOSE = 1e-4


def test_row_lengths_are_those_of_the_sum() -> None:
    draws = torch.Generator().manual_seed(0)
    W, A, B = (torch.randn(s, generator=draws).double() for s in ((7, 5), (2, 5), (7, 2)))
    expected = (W + 1.5 * B @ A).norm(dim=1)
    assert torch.allclose(row_lengths(W, W.square().sum(1), A, B, 1.5), expected, rtol=1e-12)
    assert row_lengths(W * 0, W.square().sum(1) * 0, A, B * 0, 1.0).isfinite().all()


def test_a_fresh_one_changes_nothing(base: Path) -> None:
    model = model_load(base)
    before = logits_of(model, batch())
    with LoraMethod(model, spec(use_dora=True), base, None):
        assert (logits_of(model, batch()) - before).abs().max() <= CLOSE


@pytest.mark.parametrize("family", FAMILIES)
def test_ours_gives_the_same_logits_in_peft_merged_and_served(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    base = bases[family]
    folder, ours = saved_adapter(base, tmp_path / "adapter", use_dora=True)
    theirs = PeftModel.from_pretrained(reference_model(base), folder)(input_ids=IDS[None])
    plain = reference_model(base)(input_ids=IDS[None])
    assert (ours - theirs.logits[0, :-1]).abs().max() <= CLOSE
    assert (plain.logits - theirs.logits).abs().max() > 0.1  # the adapter matters

    merged = model_load(base)
    merge_into(merged, adapter_load(folder))
    assert (logits_of(merged, batch()) - ours).abs().max() <= CLOSE

    served = model_load(base)
    shelf = AdapterShelf(served, most=1)
    shelf.add("mine", folder)
    shelf.selection.adapter = shelf.get("mine")
    assert (logits_of(served, batch()) - ours).abs().max() <= CLOSE


@pytest.mark.parametrize("family", FAMILIES)
def test_pefts_gives_the_same_logits_and_gradients_here(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    config = LoraConfig(
        r=2,
        lora_alpha=5,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
        use_dora=True,
    )
    theirs = get_peft_model(reference_model(bases[family]), config)
    theirs.save_pretrained(tmp_path)
    theirs.eval()(input_ids=IDS[None], labels=IDS[None]).loss.backward()
    model = model_load(bases[family])
    with LoraMethod(model, spec(), bases[family], tmp_path) as method:
        each = batch()
        logits = logits_of(model, each)
        (loss_sum(logits, each.labels) / len(each.labels)).backward()
        assert (logits - theirs(input_ids=IDS[None]).logits[0, :-1]).abs().max() <= CLOSE
        names = dict(theirs.named_parameters())
        parts = {"A": "lora_A", "B": "lora_B", "m": "lora_magnitude_vector"}
        for name, parameter in method.parameters.items():
            layer, _, part = name.rpartition(".")
            other = names[f"base_model.model.{layer}.{parts[part]}.default.weight"]
            assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-5), name  # type: ignore[arg-type]


def test_it_trains_resumes_and_goes_on_from_an_earlier_one(base: Path, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", completions(24))
    given = fine_tune(lora={"rank": 4, "alpha": 8.0, "use_dora": True}, epochs=6)
    member = Member("one", given, handle(path))
    (done,) = train(work(base, tmp_path / "scratch", member), Recorder(tmp_path))
    assert done.outcome is Outcome.SUCCEEDED
    assert done.artifact is not None
    assert json.loads((done.artifact.path / "adapter_config.json").read_text())["use_dora"]
    loaded = adapter_load(done.artifact.path)
    assert loaded.magnitudes.keys() == loaded.weights.keys()
    fresh = model_load(base)
    moved = [
        (loaded.magnitudes[name] - fresh.get_submodule(name).weight.norm(dim=1)).abs().max()
        for name in loaded.magnitudes
    ]
    assert max(moved) > 1e-3  # the lengths have learned too
    assert not shares_a_pass(member)


def test_a_folder_without_all_magnitudes_is_refused(base: Path, tmp_path: Path) -> None:
    folder, _ = saved_adapter(base, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(AdapterError, match="magnitude"):
        adapter_load(folder)
