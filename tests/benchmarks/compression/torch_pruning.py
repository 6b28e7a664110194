"""Torch-Pruning 1.6 on models of transformers, by the recipe of its own examples/LLMs/prune_llm.py:

q, k and v are given their numbers of heads, whole heads go, layers are ranked each by itself. Only
the width stays, for the contest is about MLP channels and heads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from workers.engine import attention
from workers.engine.models import config_of

IMPORTANCES: dict[str, Callable[[], Any]] = {
    "GroupNorm": lambda: tp.importance.GroupMagnitudeImportance(p=2, group_reduction="mean"),
    "Taylor": tp.importance.GroupTaylorImportance,
}


def torch_pruned(
    model: nn.Module,
    importance: str,
    *,
    mlp: float,
    heads: float,
    loss: Callable[[nn.Module], Tensor] | None = None,
) -> nn.Module:
    """Shares of each MLP's channels and of each layer's heads gone.

    `loss` gives the gradients, where the importance is of them (Taylor).
    """
    made: Any = copy.deepcopy(model).requires_grad_(requires_grad=True)
    if loss is not None:
        loss(made).backward()  # type: ignore[no-untyped-call]
    made.set_attn_implementation("eager")  # whose steps its tracing understands
    config = config_of(made)
    layers = made.model.layers
    counts = {}
    for layer in layers:
        counts[layer.self_attn.q_proj] = config.num_attention_heads
        counts[layer.self_attn.k_proj] = config.num_key_value_heads
        counts[layer.self_attn.v_proj] = config.num_key_value_heads
    pruner = tp.pruner.BasePruner(
        made,
        example_inputs={"input_ids": torch.arange(16)[None], "use_cache": False},
        importance=IMPORTANCES[importance](),
        pruning_ratio=0.0,  # of the width
        pruning_ratio_dict={
            **{layer.mlp.gate_proj: mlp for layer in layers},
            **dict.fromkeys(counts, heads),  # else no head is looked at
        },
        ignored_layers=[made.lm_head, made.model.embed_tokens],
        num_heads=counts,
        prune_num_heads=True,
        prune_head_dims=False,
        head_pruning_ratio=heads,
        output_transform=lambda out: out.logits,
        root_module_types=[nn.Linear],
    )
    pruner.step()
    return _finished(made)


def ungrouped(model: nn.Module) -> nn.Module:
    """The same function with a key/value head for each query head."""
    config = copy.deepcopy(config_of(model))
    groups = config.num_attention_heads // config.num_key_value_heads
    tensors = model.state_dict()
    for name, tensor in tensors.items():
        if "k_proj" in name or "v_proj" in name:
            heads = tensor.unflatten(0, (config.num_key_value_heads, -1))
            tensors[name] = heads.repeat_interleave(groups, 0).flatten(0, 1)
    config.num_key_value_heads = config.num_attention_heads
    config._attn_implementation = attention.NAME
    made: nn.Module = type(model)(config)
    made.load_state_dict(tensors)
    return made.eval().requires_grad_(requires_grad=False)


def _finished(model: Any) -> nn.Module:
    """With the attention's numbers put right, as the recipe does, and without gradients."""
    for layer in model.model.layers:
        own = layer.self_attn
        own.num_key_value_groups = own.q_proj.out_features // own.k_proj.out_features
    model.set_attn_implementation(attention.NAME)
    for parameter in model.parameters():
        parameter.grad = None
    made: nn.Module = model.requires_grad_(requires_grad=False).eval()
    return made
