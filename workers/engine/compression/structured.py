"""Structured pruning: tensors and configuration shrink, so the model is smaller and faster as is.

The result has the family's plain Hugging Face layout, with one size for all layers.
"""

from __future__ import annotations

import copy
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn

from workers.engine.checks import SpecError
from workers.engine.compression.graph import (
    Graph,
    Group,
    Kind,
    UnsupportedError,
    sequence_of,
    unit_rows,
)
from workers.engine.compression.limits import kept_units


@dataclass(frozen=True)
class Kept:
    """What stays: units by their group's name (a group not named stays whole), and layers."""

    units: Mapping[str, tuple[int, ...]]
    layers: tuple[int, ...]


def kept_count(group: Group, ratio: float, multiple: int = 1) -> int:
    """How many of a group's units stay when `ratio` of them goes, as a multiple of `multiple`.

    Raises:
        SpecError: none would stay.
    """
    return kept_units(group.units, ratio, multiple, f"prune.{group.kind}")


def cut(model: nn.Module, graph: Graph, kept: Kept) -> nn.Module:
    """A new model with only what is `kept`; `model` stays as it is.

    Raises:
        UnsupportedError: the architecture has no layout for this cut.
        SpecError: the layers would be of different sizes, or none would stay.
    """
    tensors = _cut_tensors(model, graph, kept)
    if sequence_of(model) is not None:
        return _sequential(model, tensors)
    config = cut_config(model, graph, kept)
    made: nn.Module = type(model)(config)
    for name, part in model._modules.items():  # noqa: SLF001 -- children leave out what is None
        if part is None:
            setattr(made, name, None)  # an encoder without its pooler
    made.load_state_dict(tensors)
    reference = next(model.parameters())
    made.to(device=reference.device, dtype=reference.dtype).train(model.training)
    return made.requires_grad_(requires_grad=reference.requires_grad)


def _cut_tensors(model: nn.Module, graph: Graph, kept: Kept) -> dict[str, Tensor]:
    """The state of the cut model: sliced along every dimension, layers renumbered."""
    indices = cut_indices(graph, kept)
    width = kept.units.get(f"{Kind.WIDTH}.-1")
    scale = math.sqrt(graph.of(Kind.WIDTH)[0].units / len(width)) if width else 1.0
    norms = {p.tensor for g in graph.of(Kind.WIDTH) for p in g.parts if p.is_norm}
    names = _shared_names(model)
    new = {old: place for place, old in enumerate(kept.layers)}
    found = {}
    for name, tensor in model.state_dict().items():
        target = renumbered(name, graph.blocks, new)
        if target is None:
            continue
        first = names.get(name, name)
        for dim, index in indices.get(first, {}).items():
            tensor = tensor.index_select(dim, index.to(tensor.device))  # noqa: PLW2901
        found[target] = tensor * scale if first in norms else tensor
    return found


def cut_indices(graph: Graph, kept: Kept) -> dict[str, dict[int, Tensor]]:
    """For each tensor and dimension that shrinks, what stays of it."""
    pieces: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
    for group in graph.groups:
        units = kept.units.get(group.name)
        if units is None:
            continue
        for part in group.parts:
            pieces[part.tensor, part.dim].append(unit_rows(part, units))
    found: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for (tensor, dim), rows in pieces.items():
        found[tensor][dim] = torch.cat(rows)
    return found


def _shared_names(model: nn.Module) -> dict[str, str]:
    """Tied parameters have several names; the graph knows the first."""
    first = {id(p): name for name, p in model.named_parameters()}
    every = model.named_parameters(remove_duplicate=False)
    return {name: first[id(p)] for name, p in every}


def renumbered(name: str, blocks: str, new: Mapping[int, int]) -> str | None:
    """The tensor's name once layers are gone; None where its own is."""
    match = re.fullmatch(rf"({re.escape(blocks)})\.(\d+)\.(.*)", name) if blocks else None
    if match is None:
        return name
    place = new.get(int(match[2]))
    return None if place is None else f"{match[1]}.{place}.{match[3]}"


def cut_config(model: nn.Module, graph: Graph, kept: Kept) -> Any:
    """The configuration of what is `kept`; raises as `cut` does."""
    config = copy.deepcopy(cast("Any", model).config)
    text = config.get_text_config()
    mlp = _one_size(graph, kept, Kind.MLP)
    groups = _one_size(graph, kept, Kind.HEADS)
    width = _one_size(graph, kept, Kind.WIDTH)
    heads = groups * graph.heads_per_group
    _check_heads(graph, heads, width)
    setattr(text, "n_inner" if hasattr(text, "n_inner") else "intermediate_size", mlp)
    if heads != text.num_attention_heads or width != text.hidden_size:
        text.num_attention_heads = heads
        if getattr(text, "num_key_value_heads", None) is not None:
            text.num_key_value_heads = groups
        if not graph.heads_follow_width:
            text.head_dim = graph.head_dim
    if graph.exact_width:
        text.rms_norm_eps *= text.hidden_size / width
    text.hidden_size = width
    _cut_layers(text, kept.layers)
    config._attn_implementation = cast("Any", model).config._attn_implementation  # noqa: SLF001
    try:
        config.validate()  # else it could be neither saved nor loaded
    except StrictDataclassError as error:
        raise UnsupportedError(
            f"transformers has no such model: {error.__cause__ or error} Cut another share."
        ) from error
    return config


def _cut_layers(text: Any, layers: tuple[int, ...]) -> None:
    if not layers:
        raise SpecError("prune.layers", "at least one layer has to stay.")
    if getattr(text, "layer_types", None):
        text.layer_types = [text.layer_types[layer] for layer in layers]
    text.num_hidden_layers = len(layers)


def _one_size(graph: Graph, kept: Kept, kind: Kind) -> int:
    """How many units every kept layer has."""
    groups = [g for g in graph.of(kind) if g.layer < 0 or g.layer in kept.layers]
    sizes = {len(kept.units.get(g.name, range(g.units))) for g in groups}
    if len(sizes) != 1:
        raise SpecError(
            f"prune.{kind}",
            f"layers would keep {sorted(sizes)} units; the layout wants one number for all.",
        )
    return sizes.pop()


def _check_heads(graph: Graph, heads: int, width: int) -> None:
    if graph.heads_follow_width and heads * graph.head_dim != width:
        raise UnsupportedError(
            f"this architecture takes its heads' size from the hidden size: with {heads} heads of "
            f"{graph.head_dim} the width has to be {heads * graph.head_dim}, not {width}. Cut "
            "heads and width by the same share, or MLP channels and layers only."
        )


def _sequential(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    made = copy.deepcopy(model)
    for name, module in made.named_modules():
        if isinstance(module, nn.Linear):
            learns = module.weight.requires_grad
            module.weight = nn.Parameter(tensors[f"{name}.weight"].clone(), learns)
            if module.bias is not None:
                module.bias = nn.Parameter(tensors[f"{name}.bias"].clone(), learns)
            module.out_features, module.in_features = module.weight.shape
    return made
