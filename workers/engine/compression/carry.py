"""Adapters of a dense model, carried over to what became of it: A′ = A·M, and slices of B.

With W′ = W·M on a solved layer's input, (W + s·B·A)·M = W′ + s·B·(A·M): the adapter's share of the
output is kept as well as the layer's own. Elsewhere rows and columns go as the layer's do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workers.engine.compression.calibration import Sample, inputs_of, unpadded
from workers.engine.compression.graph import Graph, linear_dims
from workers.engine.compression.prune import Pruned
from workers.engine.compression.structured import cut_indices, renumbered
from workers.engine.errors import AdapterError
from workers.engine.methods.lora.adapter import CONFIG, PREFIX, WEIGHTS, Adapter

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Carried:
    """An adapter for the cut model, and where each of its layers came from: new name → old."""

    adapter: Adapter
    origin: Mapping[str, str]


def require_fit(model: nn.Module, adapter: Adapter) -> None:
    """Raises AdapterError where the adapter is of another base than `model`, or a DoRA."""
    if adapter.magnitudes:
        raise AdapterError(
            "a DoRA adapter is tied to the lengths of its base's rows and cannot be carried over; "
            "compress its model by itself"
        )
    modules = dict(model.named_modules())
    for name, (A, B) in adapter.weights.items():
        weight = getattr(modules.get(name), "weight", None)
        if not isinstance(weight, Tensor):
            raise AdapterError(f"the adapter is of another base: there is no layer {name} here")
        out, inputs = (weight.shape[dim] for dim in linear_dims(modules[name]))
        if (B.shape[0], A.shape[1]) != (out, inputs):
            raise AdapterError(
                f"the adapter is of another base: {name} is {out} × {inputs} here, and "
                f"{B.shape[0]} × {A.shape[1]} there"
            )


def carry(model: nn.Module, adapter: Adapter, graph: Graph, made: Pruned) -> Carried:
    """The adapter of `model` for the model that it was cut to.

    Raises:
        AdapterError: it is not an adapter of `model`.
    """
    require_fit(model, adapter)
    indices = cut_indices(graph, made.kept)
    places = {old: new for new, old in enumerate(made.kept.layers)}
    weights: dict[str, Pair] = {}
    origin: dict[str, str] = {}
    for name, (A, B) in adapter.weights.items():
        target = renumbered(f"{name}.weight", graph.blocks, places)
        if target is None:
            continue  # the layer is gone
        out, inputs = linear_dims(model.get_submodule(name))
        cut = indices.get(f"{name}.weight", {})
        new = target.removesuffix(".weight")
        weights[new] = (_inputs(A, made.maps.get(name), cut.get(inputs)), _rows(B, cut.get(out)))
        origin[new] = name
    return Carried(Adapter(adapter.spec, weights), origin)


def _inputs(A: Tensor, change: Tensor | None, kept: Tensor | None) -> Tensor:
    if change is not None:
        return (A.double() @ change.to(A.device)).to(A.dtype).contiguous()
    return A if kept is None else A.index_select(1, kept).contiguous()


def _rows(B: Tensor, kept: Tensor | None) -> Tensor:
    return B if kept is None else B.index_select(0, kept).contiguous()


def carried_errors(
    dense: nn.Module,
    adapter: Adapter,
    made: Pruned,
    carried: Carried,
    graph: Graph,
    samples: Sequence[Sample],
) -> dict[str, float]:
    """Each layer's relative error of the adapter's share of the output, over the samples.

    ‖B·A·x − B′·A′·x′‖ / ‖B·A·x‖ on the rows that are left, x and x′ each model's own inputs
    without padding.
    """
    names = list(carried.origin)
    indices = cut_indices(graph, made.kept)
    wrong, right = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    with (
        inputs_of(dense, list(carried.origin.values())) as before,
        inputs_of(made.model, names) as after,
        torch.no_grad(),
    ):
        for sample in samples:
            sample.forward(dense)
            sample.forward(made.model)
            for name, old in carried.origin.items():
                out, _ = linear_dims(dense.get_submodule(old))
                kept = indices.get(f"{old}.weight", {}).get(out)
                A, B = adapter.weights[old]
                x = unpadded(before[old], sample.real)
                wanted = x @ A.t() @ _rows(B, kept).t()
                A, B = carried.adapter.weights[name]
                x = unpadded(after[name], sample.real)
                wrong[name] += float((x @ A.t() @ B.t() - wanted).square().sum())
                right[name] += float(wanted.square().sum())
    return {name: (wrong[name] / max(right[name], 1e-30)) ** 0.5 for name in names}


def carried_save(folder: Path, source: Path, adapter: Adapter) -> None:
    """Write a carried adapter in PEFT's format, with the configuration that it had."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (A, B) in adapter.weights.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = A.detach().cpu().contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = B.detach().cpu().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((source / CONFIG).read_text("utf-8"))
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True))
