"""Adapters on the cut model: PEFT is the reference for what an adapter does."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tests.workers.engine.compression.factories import model_of, output_of, samples_for
from workers.engine.compression.carry import carried_errors, carried_save, carry
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import Pruned, Sample, prune
from workers.engine.compression.specs import PruneSpec
from workers.engine.errors import AdapterError
from workers.engine.methods.lora.adapter import adapter_load

TARGETS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]


def adapted(model: Any, folder: Path) -> torch.Tensor:
    """Write a random adapter of `model` by PEFT; returns its logits with it."""
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")
    tuned = get_peft_model(copy.deepcopy(model), config)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3)
    tuned.save_pretrained(str(folder))
    return output_of("", tuned.eval())


def with_peft(model: Any, folder: Path) -> torch.Tensor:
    return output_of("", PeftModel.from_pretrained(copy.deepcopy(model), str(folder)).eval())


def test_on_a_model_whose_cut_channels_never_mattered_it_is_exact(tmp_path: Path) -> None:
    model = model_of("llama")
    with torch.no_grad():  # half of the channels and two KV groups are silent
        for layer in model.model.layers:
            layer.mlp.up_proj.weight[24:] = 0
            layer.self_attn.v_proj.weight[8:] = 0
    config = LoraConfig(
        r=4, lora_alpha=16, target_modules=["down_proj", "o_proj"], task_type="CAUSAL_LM"
    )
    torch.manual_seed(3)
    tuned = get_peft_model(copy.deepcopy(model), config)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3)
    tuned.save_pretrained(str(tmp_path / "dense"))
    expected = output_of("", tuned.eval())
    graph, samples = graph_of(model), samples_for("llama")
    made = prune(model, graph, PruneSpec(mlp=0.5, heads=0.5, ridge=1e-9), samples)
    assert made.kept.units["mlp.1"] == tuple(range(24))
    assert made.kept.units["heads.1"] == (0, 1)
    carried = carry(model, adapter_load(tmp_path / "dense"), graph, made)
    carried_save(tmp_path / "cut", tmp_path / "dense", carried.adapter)
    torch.testing.assert_close(
        with_peft(made.model, tmp_path / "cut"), expected, atol=1e-3, rtol=1e-3
    )


def test_the_map_keeps_more_of_the_adapter_than_slicing(tmp_path: Path) -> None:
    model = model_of("llama")
    adapted(model, tmp_path / "dense")
    graph, samples = graph_of(model), samples_for("llama", count=8)
    made = prune(model, graph, PruneSpec(mlp=0.5, heads=0.5), samples)
    adapter = adapter_load(tmp_path / "dense")

    def errors(pruned: Pruned) -> dict[str, float]:
        carried = carry(model, adapter, graph, pruned)
        return carried_errors(model, adapter, pruned, carried, graph, samples)

    mapped, sliced = errors(made), errors(replace(made, maps={}))
    assert len(mapped) == 3 * len(TARGETS)
    assert mapped["model.layers.0.self_attn.v_proj"] < 1e-5  # nothing before it was cut
    for layer in range(3):
        name = f"model.layers.{layer}.mlp.down_proj"
        assert 0 < mapped[name] < sliced[name] < 1.5


def test_errors_are_of_the_adapters_own_output(tmp_path: Path) -> None:
    model = model_of("llama")
    adapted(model, tmp_path / "dense")
    graph, samples = graph_of(model), samples_for("llama", count=1)
    made = prune(model, graph, PruneSpec(mlp=0.5, reconstruct=False), samples)
    adapter = adapter_load(tmp_path / "dense")
    carried = carry(model, adapter, graph, made)
    name = "model.layers.0.mlp.down_proj"
    x = _input(model, name, samples[0])
    A, B = adapter.weights[name]
    kept = list(made.kept.units["mlp.0"])
    wanted, found = x @ A.t() @ B.t(), x[:, kept] @ A[:, kept].t() @ B.t()
    expected = float((found - wanted).norm() / wanted.norm())
    errors = carried_errors(model, adapter, made, carried, graph, samples)
    assert errors[name] == pytest.approx(expected, rel=1e-4)


def test_padding_is_no_part_of_an_adapters_error(tmp_path: Path) -> None:
    model = model_of("llama")
    adapted(model, tmp_path / "dense")
    graph, (sample,) = graph_of(model), samples_for("llama", count=1)
    made = prune(model, graph, PruneSpec(mlp=0.5, reconstruct=False), [sample])
    adapter = adapter_load(tmp_path / "dense")
    carried = carry(model, adapter, graph, made)
    name = "model.layers.0.mlp.down_proj"
    x = _input(model, name, sample)
    real = torch.arange(len(x)) % 24 < 10
    A, B = adapter.weights[name]
    kept = list(made.kept.units["mlp.0"])
    wanted, found = x[real] @ A.t() @ B.t(), x[real][:, kept] @ A[:, kept].t() @ B.t()
    expected = float((found - wanted).norm() / wanted.norm())
    padded = [replace(sample, real=real)]
    errors = carried_errors(model, adapter, made, carried, graph, padded)
    assert errors[name] == pytest.approx(expected, rel=1e-4)


def _input(model: Any, name: str, sample: Sample) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(
        lambda _m, args, _o: seen.append(args[0])
    )
    sample.forward(model)
    hook.remove()
    return seen[0].flatten(0, -2)


def test_layers_that_are_gone_take_their_share_along(tmp_path: Path) -> None:
    model = model_of("llama")
    adapted(model, tmp_path / "dense")
    graph = graph_of(model)
    made = prune(model, graph, PruneSpec(layers=1, width=0.25), samples_for("llama"))
    carried = carry(model, adapter_load(tmp_path / "dense"), graph, made)
    carried_save(tmp_path / "cut", tmp_path / "dense", carried.adapter)
    assert with_peft(made.model, tmp_path / "cut").isfinite().all()
    old = {int(name.split(".")[2]) for name in carried.origin.values()}
    assert old == set(made.kept.layers)


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    adapted(model_of("llama"), tmp_path)
    other = model_of("qwen3")
    graph = graph_of(other)
    made = prune(other, graph, PruneSpec(mlp=0.5), samples_for("qwen3"))
    with pytest.raises(
        AdapterError, match=r"of another base: .*o_proj is 32 × 48 here, and 32 × 32 th"
    ):
        carry(other, adapter_load(tmp_path), graph, made)
