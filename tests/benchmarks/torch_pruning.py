"""Torch-Pruning 1.6 on a Llama with grouped-query heads, by its own examples' recipe."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
import torch_pruning as tp
from torch import nn

from workers.engine.compression.bench import Bench


def torch_pruned(bench: Bench, kind: str, found: dict[str, list[float]]) -> nn.Module:
    """Half of the MLP channels and of the KV heads; `kind` is norm or taylor.

    https://github.com/VainF/Torch-Pruning, examples/LLMs: the number of heads is given for q, k and
    v; the residual width is kept by ignoring nothing but the head and rounding to whole heads.
    """
    model: Any = copy.deepcopy(bench.dense)
    model.set_attn_implementation("sdpa")
    model.requires_grad_(requires_grad=True)
    ids = torch.arange(16)[None]
    heads = {}
    for layer in model.model.layers:
        heads[layer.self_attn.q_proj] = bench.config.num_attention_heads
        heads[layer.self_attn.k_proj] = bench.config.num_key_value_heads
        heads[layer.self_attn.v_proj] = bench.config.num_key_value_heads
    importance = (
        tp.importance.GroupTaylorImportance()
        if kind == "taylor"
        else tp.importance.GroupMagnitudeImportance(p=2)
    )
    begin = time.process_time()
    keep_width = [model.lm_head, model.model.embed_tokens]
    pruner = tp.pruner.BasePruner(
        model,
        example_inputs={"input_ids": ids, "use_cache": False},
        importance=importance,
        global_pruning=False,
        pruning_ratio=0.5,
        ignored_layers=keep_width,
        num_heads=heads,
        prune_num_heads=True,
        prune_head_dims=False,
        head_pruning_ratio=0.5,
        output_transform=lambda out: out.logits,
        root_module_types=[nn.Linear],
    )
    if kind == "taylor":
        loss = torch.stack([_loss(model, sample) for sample in bench.samples[:4]]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
    pruner.step()
    found.setdefault(f"prune seconds, Torch-Pruning {kind}", []).append(time.process_time() - begin)
    for layer in model.model.layers:
        attention = layer.self_attn
        attention.num_key_value_groups = (
            attention.q_proj.out_features // attention.k_proj.out_features
        )
    return _again(model)


def _loss(model: Any, sample: Any) -> Any:
    loss: Any = sample.loss(model)
    return loss


def _again(model: Any) -> nn.Module:
    """Back to the packed attention, without gradients."""
    model.set_attn_implementation("breakwater")
    made: nn.Module = model.requires_grad_(requires_grad=False).eval()
    for parameter in made.parameters():
        parameter.grad = None
    return made
