"""From ratios to a pruned model: layer by layer, score, choose, solve again.

The student keeps the dense shapes, with what is cut at zero, until all is chosen: a model cut to
shape computes the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from workers.engine.compression.calibration import (
    Run,
    Sample,
    block_influence,
    input_norms,
    squares_of,
    stages,
)
from workers.engine.compression.graph import Graph, Group, Kind, linear_dims, unit_rows
from workers.engine.compression.limits import check_layers
from workers.engine.compression.reconstruct import Moments, reader_map, selection
from workers.engine.compression.scorers.magnitude import magnitude
from workers.engine.compression.scorers.random import random
from workers.engine.compression.scorers.taylor import taylor
from workers.engine.compression.scorers.threshold import threshold
from workers.engine.compression.scorers.wanda import wanda
from workers.engine.compression.specs import PruneSpec
from workers.engine.compression.structured import Kept, cut, kept_count
from workers.engine.data.order import mix

Tick = Callable[[], None]  # called as each layer is done


@dataclass
class Pruned:
    """The cut model, what was kept, and each reading layer's map from the dense inputs."""

    model: nn.Module
    kept: Kept
    maps: dict[str, Tensor] = field(default_factory=dict)


def prune(
    model: nn.Module,
    graph: Graph,
    spec: PruneSpec,
    samples: Sequence[Sample],
    tick: Tick = lambda: None,
) -> Pruned:
    """Prune `model` as `spec` says; it stays as it is.

    Raises:
        SpecError: a layer would vanish, or all of them would.
        UnsupportedError: the architecture has no layout for this cut.
    """
    ratios = {Kind.MLP: spec.mlp, Kind.HEADS: spec.heads}
    counts = {g.name: kept_count(g, ratios[g.kind], _multiple(g, spec)) for g in _inner(graph)}
    width = {g.name: kept_count(g, spec.width, spec.multiple_of) for g in graph.of(Kind.WIDTH)}
    check_layers(graph.layers, spec.layers)
    gradients = _gradients(model, graph, samples) if spec.scorer == "taylor" else {}
    job = _Pruning(model, graph, spec, gradients)
    layers = job.layers_kept(samples)
    job.remove_layers(layers)
    looks = spec.reconstruct or spec.scorer == "wanda"  # at activations
    for layer, runs in stages(model, job.student, graph, layers, samples if looks else ()):
        for group in graph.of_layer(layer) if graph.blocks else _inner(graph):
            job.prune_group(group, counts[group.name], runs)
        tick()
    for group in graph.of(Kind.WIDTH):
        if width[group.name] < group.units:
            job.choose_width(group, width[group.name], samples)
    kept = Kept(job.units, layers)
    return Pruned(cut(job.student, graph, kept), kept, job.maps)


def _inner(graph: Graph) -> list[Group]:
    return [group for group in graph.groups if group.kind is not Kind.WIDTH]


def _multiple(group: Group, spec: PruneSpec) -> int:
    return spec.multiple_of if group.kind is Kind.MLP else 1


class _Pruning:
    """The student under way."""

    def __init__(
        self, model: nn.Module, graph: Graph, spec: PruneSpec, gradients: Mapping[str, Tensor]
    ) -> None:
        self.dense, self.graph, self.spec, self.gradients = model, graph, spec, gradients
        self.student = copy.deepcopy(model)
        self.units: dict[str, tuple[int, ...]] = {}
        self.maps: dict[str, Tensor] = {}

    def layers_kept(self, samples: Sequence[Sample]) -> tuple[int, ...]:
        """All layers but those that change the residual stream's direction least.

        Block influence of Men et al. 2024 (arXiv:2403.03853): 1 − cos(input, output).
        """
        every = tuple(range(self.graph.layers))
        if not self.spec.layers:
            return every
        changes = block_influence(self.dense, self.graph, samples)
        order = sorted(every, key=lambda layer: changes[layer])
        return tuple(sorted(order[self.spec.layers :]))

    def remove_layers(self, layers: Sequence[int]) -> None:
        """Have the student's other layers pass their input on: both layers that write are zero."""
        for group in _inner(self.graph):
            if self.graph.blocks and group.layer not in layers:
                module = self.student.get_submodule(group.readers[0])
                for parameter in module.parameters():
                    parameter.data.zero_()

    def prune_group(self, group: Group, count: int, runs: Sequence[Run]) -> None:
        """Choose `count` units and solve their reader again."""
        (reader,) = group.readers
        whole = count == group.units
        if whole and not (self.spec.reconstruct and (self.units or self.spec.layers)):
            return
        looks = self.spec.reconstruct or self.spec.scorer == "wanda"
        with torch.no_grad():
            inputs = [run.student_input(self.student, reader) for run in runs] if looks else []
        scores = self._scores(group, inputs)
        units = tuple(sorted(scores.argsort(descending=True, stable=True)[:count].tolist()))
        columns = _columns(group, units).to(self._weight(reader).device)
        if self.spec.reconstruct:
            wanted = self._dense_inputs(group, runs)
            moments = Moments.of(columns, zip(inputs, wanted, strict=True))
            change = reader_map(moments, self.spec.ridge)
        else:
            change = selection(columns, self._weight(reader).shape[1])
        self._solve(reader, columns, change)
        if not whole:
            self.units[group.name] = units

    def choose_width(self, group: Group, count: int, samples: Sequence[Sample]) -> None:
        """Choose hidden channels over the whole model."""
        norms = input_norms(self.student, group.readers, samples)
        total = torch.zeros(group.units, dtype=torch.float64)
        for reader in group.readers:
            total += self._reader_scores(reader, norms[reader]).cpu()
        if self.spec.scorer == "random":
            total = random(group.units, mix(self.spec.seed, group.units) >> 1)
        self.units[group.name] = tuple(sorted(total.argsort(descending=True)[:count].tolist()))

    def _scores(self, group: Group, inputs: Sequence[Tensor]) -> Tensor:
        """(units,); `inputs`: the reader's, of each batch, where the scorer looks at them."""
        name = self.spec.scorer
        if name == "random":
            return random(group.units, mix(self.spec.seed, group.layer, group.units) >> 1)
        if name in {"magnitude", "threshold"}:
            weights = unit_weights(self.student, group)
            return (
                magnitude(weights)
                if name == "magnitude"
                else threshold(weights, self.spec.threshold)
            )
        squares = [squares_of(x) for x in inputs] if name == "wanda" else [torch.ones(1)]
        columns = self._reader_scores(group.readers[0], torch.stack(squares).sum(0).sqrt())
        return columns.reshape(group.units, group.block).sum(dim=1)

    def _reader_scores(self, reader: str, norms: Tensor) -> Tensor:
        """(in,): each input column of a reading layer."""
        weight = self._weight(reader)
        if self.spec.scorer == "taylor":
            return taylor(weight, self.gradients[reader])
        if self.spec.scorer == "threshold":
            return threshold(weight.t(), self.spec.threshold)
        if self.spec.scorer == "magnitude":
            return magnitude(weight.t())
        return wanda(weight, norms)

    @torch.no_grad()
    def _dense_inputs(self, group: Group, runs: Sequence[Run]) -> Iterator[Tensor]:
        """(tokens, in) of each run, of one pass for all groups beside this one."""
        beside = self.graph.of_layer(group.layer) if self.graph.blocks else _inner(self.graph)
        readers = [each.readers[0] for each in beside]
        for run in runs:
            yield run.dense_input(self.dense, group.readers[0], readers)

    def _solve(self, reader: str, columns: Tensor, change: Tensor) -> None:
        """The student's reader becomes W·M on the kept columns and zero elsewhere."""
        dense = _plain_weight(self.dense.get_submodule(reader))
        solved = torch.zeros_like(dense)
        solved[:, columns] = (dense.double() @ change).to(dense.dtype)
        with torch.no_grad():
            self._weight(reader).copy_(solved)
        self.maps[reader] = change

    def _weight(self, layer: str) -> Tensor:
        return _plain_weight(self.student.get_submodule(layer))


def unit_weights(model: nn.Module, group: Group) -> Tensor:
    """(units, weights of a unit): every weight that goes with a unit, biases left out."""
    tensors = dict(model.named_parameters())
    rows = []
    for part in group.parts:
        tensor = tensors[part.tensor].detach()
        if tensor.ndim == 2:
            index = unit_rows(part, range(group.units)).to(tensor.device)
            rows.append(
                tensor.index_select(part.dim, index).movedim(part.dim, 0).reshape(group.units, -1)
            )
    return torch.cat(rows, dim=1)


def _plain_weight(module: nn.Module) -> Tensor:
    """(out, in): a view of the layer's own weight."""
    weight = cast("Tensor", module.weight).data
    return weight if linear_dims(module) == (0, 1) else weight.t()


def _columns(group: Group, units: Sequence[int]) -> Tensor:
    starts = torch.tensor(list(units), dtype=torch.long)[:, None] * group.block
    return (starts + torch.arange(group.block)).flatten()


def _gradients(model: nn.Module, graph: Graph, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Of the mean loss, at the weights of every reading layer, as (out, in)."""
    readers = sorted({reader for group in graph.groups for reader in group.readers})
    learner = copy.deepcopy(model).requires_grad_(requires_grad=False)
    weights = {r: cast("Tensor", learner.get_submodule(r).weight) for r in readers}
    for weight in weights.values():
        weight.requires_grad_()
    for sample in samples:
        (sample.loss(learner) / len(samples)).backward()  # type: ignore[no-untyped-call]
    found = {}
    for reader, weight in weights.items():
        gradient = cast("Tensor", weight.grad)
        stored = linear_dims(learner.get_submodule(reader)) == (0, 1)
        found[reader] = gradient if stored else gradient.t()
    return found
