"""QLoRA: LoRA over the base as NF4 has it, which nobody keeps whole."""

from __future__ import annotations

import gc
import json
import math
import shutil
import weakref
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from tests.workers.engine.factories import (
    FAMILIES,
    FOR_A_GPU,
    Recorder,
    base_folder,
    chats,
    completions,
    handle,
    reference_model,
    write_jsonl,
)
from tests.workers.engine.factories import spec as fine_tune
from tests.workers.engine.methods.test_lora import IDS, batch, disturbed, spec
from tests.workers.engine.training.factories import run, weights
from tests.workers.engine.training.test_cohort import CLOSE as SHARED
from tests.workers.engine.training.test_cohort import apart, trained
from tests.workers.engine.training.test_offload import peak
from workers.engine.checks import SpecError
from workers.engine.errors import ModelError
from workers.engine.kernels.block import fast_blocks
from workers.engine.kernels.nf4 import Nf4
from workers.engine.losses import loss_sum
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.methods.lora.quantised import nf4_load
from workers.engine.models import (
    linear_names,
    logits_of,
    model_load,
    packed_weights,
    shape_of,
)
from workers.engine.profiles import memory_bytes, memory_least
from workers.engine.protocol import Command, Member, Outcome
from workers.engine.shapes import Shape
from workers.engine.training.cohort import shares_a_pass

CLOSE = 1e-5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "train.jsonl", completions() + chats())


def in_nf4(folder: Path) -> torch.nn.Module:
    return nf4_load(folder, dtype="float32", device="cpu")


def dequantised(folder: Path) -> Any:
    """transformers' own model, each linear layer of its blocks rounded to what NF4 holds."""
    model = reference_model(folder)
    for name in linear_names(model):
        layer = model.get_submodule(name)
        turned = isinstance(layer, Conv1D)
        found = Nf4.of(layer.weight.t() if turned else layer.weight).whole()
        layer.weight.data = found.t().contiguous() if turned else found
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("lora", [{}, {"use_dora": True}, {"target_modules": "some"}])
def test_logits_and_gradients_are_those_of_lora_over_the_dequantised_base(
    bases: dict[str, Path], tmp_path: Path, family: str, lora: dict[str, Any], *, fast: bool
) -> None:
    # given an adapter on PEFT's side, over whole weights, whose backward pass is torch's own
    some = ("c_attn",) if family == "gpt2" else ("q_proj", "down_proj")
    given = lora | ({"target_modules": some} if "target_modules" in lora else {})
    model = in_nf4(bases[family])
    with LoraMethod(model, spec(**given), bases[family], None) as method:
        disturbed(method).save(tmp_path)
        theirs = PeftModel.from_pretrained(dequantised(bases[family]), tmp_path, is_trainable=True)
        out = theirs(input_ids=IDS[None], labels=IDS[None])
        out.loss.backward()
        # when ours computes over the base in four bits
        each = batch()
        if fast:
            with fast_blocks(model):
                logits = logits_of(model, each)
        else:
            logits = logits_of(model, each)
        (loss_sum(logits, each.labels) / len(each.labels)).backward()
        # then nothing differs but rounding
        scale = out.logits.abs().max()
        assert (logits - out.logits[0, :-1]).abs().max() <= CLOSE * scale
        names = dict(theirs.named_parameters())
        parts = {"A": "lora_A", "B": "lora_B", "m": "lora_magnitude_vector"}
        for name, parameter in method.parameters.items():
            layer, _, part = name.rpartition(".")
            other = names[f"base_model.model.{layer}.{parts[part]}.default.weight"].grad
            assert (parameter.grad - other).norm() <= 1e-4 * other.norm(), name
    assert len(packed_weights(model)) == len(linear_names(model))


def test_four_bits_differ_from_all_but_not_by_much(base: Path) -> None:
    whole, rounded = (logits_of(model, batch()) for model in (model_load(base), in_nf4(base)))
    assert 1e-3 < (whole - rounded).norm() / whole.norm() < 0.3


@pytest.mark.parametrize("fast", [True, False])
def test_whole_weights_are_made_for_each_product_and_not_kept(
    base: Path, monkeypatch: pytest.MonkeyPatch, *, fast: bool
) -> None:
    made: list[weakref.ref[torch.Tensor]] = []
    plain = Nf4.whole

    def remembered(self: Nf4) -> torch.Tensor:
        found = plain(self)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(Nf4, "whole", remembered)
    model = in_nf4(base)
    with LoraMethod(model, spec(), base, None), fast_blocks(model) if fast else nullcontext():
        layers, each = len(linear_names(model)), batch()
        loss = loss_sum(logits_of(model, each), each.labels)
        gc.collect()
        assert len(made) == layers
        assert not any(ref() is not None for ref in made)
        loss.backward()
        assert len(made) >= 2 * layers - 3  # nothing before the first block learns
        assert not any(ref() is not None for ref in made)


def test_the_base_takes_as_little_as_the_estimate_says(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base", hidden_size=256, intermediate_size=512)
    model = in_nf4(base)
    held = sum(weight.nbytes for weight in packed_weights(model))
    rest = sum(p.nbytes for p in model.parameters())
    shape, plain, few = Shape.of_folder(base), fine_tune(), fine_tune(quantise_base="nf4")
    assert shape_of(model) == shape
    saved = 4 * shape.parameters - held - rest
    block = 4 * shape.body / shape.layers
    estimated = memory_bytes(plain, shape) - memory_bytes(few, shape)
    assert estimated + block == pytest.approx(saved, rel=0.01)
    assert memory_least(few, shape) == memory_bytes(few, shape)  # nothing is left in files


def test_the_peak_is_lower_by_what_the_base_takes_less(tmp_path: Path) -> None:
    # given 8 blocks of 15 MB, trained in a process of its own over either base
    sizes = {"hidden_size": 512, "intermediate_size": 1792, "num_hidden_layers": 8}
    base = base_folder(tmp_path / "base", **sizes)
    rows = write_jsonl(tmp_path / "few.jsonl", completions(4))
    whole, few = (
        peak(base, rows, tmp_path / held, quantise_base=held)["peak"] for held in ("none", "nf4")
    )
    # then of what seven blocks take less, as estimated, nearly all is seen: the rest is the
    # allocator's
    shape = Shape.of_folder(base)
    estimated = [memory_bytes(fine_tune(quantise_base=held), shape) for held in ("none", "nf4")]
    assert whole - few > 0.9 * (estimated[0] - estimated[1])


def renamed(base: Path, folder: Path) -> Path:
    """The same base as its blocks' own class would store it, without the model's prefix."""
    shutil.copytree(base, folder)
    tensors = load_file(folder / "model.safetensors")
    short = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    save_file(short, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_folder_with_other_names_and_one_of_several_files_are_read_too(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["gpt2"]
    reference_model(base).save_pretrained(tmp_path / "parts", max_shard_size="40KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    logits = logits_of(in_nf4(base), batch())
    for folder in (renamed(base, tmp_path / "renamed"), tmp_path / "parts"):
        assert torch.equal(logits_of(in_nf4(folder), batch()), logits)


def test_a_base_that_is_quantised_or_none_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ModelError, match="no readable config"):
        in_nf4(tmp_path / "none")
    compressed = tmp_path / "compressed"
    shutil.copytree(base, compressed)
    config = json.loads((compressed / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "compressed-tensors"}
    (compressed / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="quantised already; leave quantise_base out"):
        in_nf4(compressed)


@pytest.mark.parametrize(
    "named",
    [["model.safetensors"], "gone.safetensors", "../base/model.safetensors", 1, "config.json"],
    ids=str,
)
def test_an_index_that_names_other_files_is_refused(
    base: Path, tmp_path: Path, named: object
) -> None:
    folder = tmp_path / "indexed"
    shutil.copytree(base, folder)
    names = load_file(folder / "model.safetensors")
    index = {"weight_map": dict.fromkeys(names, named)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "other.safetensors")  # nothing else to read
    with pytest.raises(ModelError, match="indexed"):
        in_nf4(folder)


def fall(progress: Recorder) -> float:
    """By how much losses fell from the first nine updates, which see all data once, to the last."""
    losses = progress.losses()
    assert len(losses) == 4 * 9
    return (sum(losses[:9]) - sum(losses[-9:])) / 9


@pytest.mark.parametrize(
    ("family", "checkpointing"),
    [("llama", "none"), ("llama", "selective"), ("llama", "full"), ("gpt2", "none")],
)
def test_it_learns_and_makes_an_ordinary_adapter_over_the_original_base(
    bases: dict[str, Path], data: Path, tmp_path: Path, family: str, checkpointing: str
) -> None:
    base, progress, plain = bases[family], Recorder(tmp_path), Recorder(tmp_path)
    given = {"activation_checkpointing": checkpointing, "epochs": 4}
    run(base, data, tmp_path, plain, name="plain", **given)
    result = run(base, data, tmp_path, progress, quantise_base="nf4", **given)
    assert result.outcome is Outcome.SUCCEEDED, result.error
    # within a tenth of what is learned over the whole base: the paper finds no difference at all
    assert fall(progress) == pytest.approx(fall(plain), rel=0.1)
    assert result.artifact is not None
    config = json.loads((result.artifact.path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base.name
    assert config["fan_in_fan_out"] is (family == "gpt2")
    # served by PEFT and by us over all of the base's digits
    theirs = PeftModel.from_pretrained(reference_model(base), result.artifact.path)
    served = model_load(base)
    with LoraMethod(served, spec(), base, result.artifact.path):
        ours = logits_of(served, batch())
    logits = theirs(input_ids=IDS[None]).logits[0, :-1]
    assert (ours - logits).abs().max() <= 1e-4


@pytest.mark.parametrize("lora", [{}, {"use_dora": True}])
def test_what_was_stopped_goes_on_bit_for_bit(
    base: Path, data: Path, tmp_path: Path, lora: dict[str, Any]
) -> None:
    given = {"quantise_base": "nf4", "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.2} | lora}
    one = run(base, data, tmp_path, Recorder(tmp_path), name="whole", **given)
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == 5 else Command.GO)
    run(base, data, tmp_path, paused, name="first", **given)
    ((_, snapshot),) = paused.snapshots
    resumed = Recorder(tmp_path)
    two = run(base, data, tmp_path, resumed, name="second", resume=snapshot, **given)
    assert resumed.events[2][3] == {"step": 5, "bit_equal": True}
    found = weights(two)
    assert all(torch.equal(weight, found[name]) for name, weight in weights(one).items())
    # a snapshot over the whole base is another fine-tune's
    other = run(base, data, tmp_path, Recorder(tmp_path), name="third",
                resume=snapshot, lora=given["lora"])  # fmt: skip
    assert "another spec" in str(other.error)


def test_preferences_are_learned_and_the_story_tells_of_the_four_bits(
    base: Path, tmp_path: Path
) -> None:
    rows = [
        {"prompt": f"{n} and one make", "chosen": f" {n + 1}", "rejected": " none"}
        for n in range(8)
    ]
    pairs, progress = write_jsonl(tmp_path / "pairs.jsonl", rows), Recorder(tmp_path)
    given = {"task": "preference", "epochs": 6, "quantise_base": "nf4"}
    assert run(base, pairs, tmp_path, progress, **given).error is None
    losses = progress.losses()
    # the reference is the base as it is held, so nothing is preferred to begin with
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[-1] < 0.9 * losses[0]
    (told,) = [event for event in progress.events if "in 4 bits" in event[2]]
    shape = Shape.of_folder(base)
    norms = (2 * shape.layers + 1) * shape.hidden
    assert told[3]["layers"] == 7 * shape.layers
    assert told[3]["bytes_whole"] == 4 * (shape.body - norms)
    # half a byte a weight, and less than a quarter for the scales of layers as small as these
    assert told[3]["bytes"] < 0.75 * told[3]["bytes_whole"] / 4


def members(folder: Path, **given: Any) -> list[Member]:
    files = {"one": completions(12), "two": chats(9)}
    return [
        Member(key, fine_tune(seed=seed, lora={"rank": 2 + seed, "alpha": 4.0}, **given),
               handle(write_jsonl(folder / f"{key}.jsonl", rows)))
        for seed, (key, rows) in enumerate(files.items())
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_share_one_base_in_four_bits_and_come_out_as_alone(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    made: list[int] = []
    plain = Nf4.of.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        Nf4, "of", classmethod(lambda cls, w: made.append(w.numel()) or plain(cls, w))
    )
    given = members(tmp_path, quantise_base="nf4", epochs=6)
    alone = trained(base, tmp_path / "alone", given, together=False, dtype=dtype)
    layers = len(linear_names(model_load(base)))
    assert len(made) == layers
    shared = trained(base, tmp_path / "shared", given, together=True, dtype=dtype)
    assert len(made) == 2 * layers
    assert all(apart(result, alone[key]) <= SHARED[dtype] for key, result in shared.items())


def test_who_wants_another_base_is_trained_apart(base: Path, tmp_path: Path) -> None:
    one, two = members(tmp_path)
    four_bits = replace(two, spec=replace(two.spec, quantise_base="nf4"))
    assert shares_a_pass(one)
    assert shares_a_pass(four_bits)
    given = [one, four_bits]
    alone = trained(base, tmp_path / "alone", given, together=False)
    mixed = trained(base, tmp_path / "mixed", given, together=True)
    assert mixed.keys() == {"one", "two"}
    assert all(apart(result, alone[key]) <= CLOSE for key, result in mixed.items())


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"quantise_base": "fp4"}, "quantise_base", "choose one of nf4, none"),
        ({"quantise_base": "nf4", "method": "full"}, "quantise_base", "give the method 'lora'"),
        ({"quantise_base": "nf4", "processes": 2}, "quantise_base", "give processes 1"),
        ({"optimiser": "adamw_8bit"}, "optimiser", "give 'adamw'"),
        ({"optimiser": "adamw_8bit", "method": "full", "processes": 2}, "optimiser", "processes 1"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    given: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        fine_tune(**given)
    assert refused.value.field == field


@pytest.mark.gpu
def test_on_cuda_it_learns_in_less_memory(tmp_path: Path, data: Path) -> None:
    """A base whose blocks are most of it: four bits of them take less than a third of bf16's."""
    base = base_folder(tmp_path / "base", **FOR_A_GPU)
    peaks = {}
    for held in ("none", "nf4"):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        progress = Recorder(tmp_path)
        result = run(base, data, tmp_path, progress, name=held, device="cuda:0", dtype="bfloat16",
                     quantise_base=held, epochs=4, learning_rate=1e-3)  # fmt: skip
        assert result.error is None, result.error
        assert fall(progress) > 0
        peaks[held] = torch.cuda.max_memory_allocated()
    whole = 2 * Shape.of_folder(base).body
    assert peaks["none"] - peaks["nf4"] > whole / 2
