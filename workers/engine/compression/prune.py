"""From ratios to a pruned model: layer by layer, score, choose, solve again.

The student keeps the dense shapes, with what is cut at zero, until all is chosen: a model cut to
shape computes the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Cache

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


@dataclass(frozen=True)
class Sample:
    """A calibration batch: how to run a model on it, and the loss that it gives."""

    forward: Callable[[nn.Module], Any]
    loss: Callable[[nn.Module], Tensor]
    real: Tensor | None = None  # (positions,): which are no padding; None = all of them


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
    for layer, runs in _stages(model, job.student, graph, layers, samples if looks else ()):
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


@dataclass
class _Run:
    """One batch through a part of both models, from where each of them stands."""

    dense: Callable[[], Any]
    student: Callable[[], Any]
    real: Tensor | None
    after: Any = None  # what the dense one, which stays as it is, gave in its last whole pass

    def dense_whole(self) -> None:
        self.after = self.dense()


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
        changes = _block_influence(self.dense, self.graph, samples)
        order = sorted(every, key=lambda layer: changes[layer])
        return tuple(sorted(order[self.spec.layers :]))

    def remove_layers(self, layers: Sequence[int]) -> None:
        """Have the student's other layers pass their input on: both layers that write are zero."""
        for group in _inner(self.graph):
            if self.graph.blocks and group.layer not in layers:
                module = self.student.get_submodule(group.readers[0])
                for parameter in module.parameters():
                    parameter.data.zero_()

    def prune_group(self, group: Group, count: int, runs: Sequence[_Run]) -> None:
        """Choose `count` units and solve their reader again."""
        (reader,) = group.readers
        whole = count == group.units
        if whole and not (self.spec.reconstruct and (self.units or self.spec.layers)):
            return
        needs = self.spec.reconstruct or self.spec.scorer == "wanda"
        last = group.kind is Kind.MLP  # what follows it is little, and the next layer reads it
        moments = self._moments(reader, runs, whole_pass=last) if needs else None
        scores = self._scores(group, moments)
        units = tuple(sorted(scores.argsort(descending=True, stable=True)[:count].tolist()))
        columns = _columns(group, units).to(self._weight(reader).device)
        if self.spec.reconstruct and moments is not None:
            change = reader_map(moments, columns, self.spec.ridge)
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

    def _scores(self, group: Group, moments: Moments | None) -> Tensor:
        """(units,)."""
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
        norms = moments.norms if moments is not None else torch.ones(1)
        columns = self._reader_scores(group.readers[0], norms)
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

    def _moments(self, reader: str, runs: Sequence[_Run], *, whole_pass: bool) -> Moments:
        weight = self._weight(reader)
        moments = Moments.empty(weight.shape[1], weight.device)
        with (
            inputs_of(self.dense, (reader,), stop=not whole_pass) as dense,
            inputs_of(self.student, (reader,), stop=True) as student,
        ):
            for run in runs:
                for call in (run.dense_whole if whole_pass else run.dense, run.student):
                    with torch.no_grad(), suppress(_Reached):
                        call()
                x, wanted = student.pop(reader), dense.pop(reader)
                moments.add(unpadded(x, run.real), unpadded(wanted, run.real))
        return moments

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


class _Reached(Exception):
    """What a pass was run for is known; the rest of it is not needed."""


@contextmanager
def inputs_of(
    model: nn.Module, layers: Sequence[str], *, stop: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Each call's input of `layers`, as (tokens, in), while the context is open.

    With `stop` a pass ends there, by `_Reached`.
    """
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[name] = args[0].detach().reshape(-1, args[0].shape[-1])
            if stop:
                raise _Reached

        return keep

    hooks = [model.get_submodule(n).register_forward_pre_hook(hook(n)) for n in layers]
    try:
        yield seen
    finally:
        for each in hooks:
            each.remove()


def unpadded(x: Tensor, real: Tensor | None) -> Tensor:
    """(positions, …) without padding; what sees one position of each text has none."""
    return x if real is None or len(real) != len(x) else x[real.to(x.device)]


def input_norms(
    model: nn.Module, layers: Sequence[str], samples: Sequence[Sample]
) -> dict[str, Tensor]:
    """(in,): the Euclidean norm of each input of these layers over all samples."""
    squares: dict[str, Tensor] = {}
    with inputs_of(model, layers) as seen, torch.no_grad():
        for sample in samples:
            sample.forward(model)
            for name, x in seen.items():
                square = unpadded(x, sample.real).double().square().sum(0)
                squares[name] = squares[name] + square if name in squares else square
    return {name: square.sqrt() for name, square in squares.items()}


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


def _stages(
    dense: nn.Module,
    student: nn.Module,
    graph: Graph,
    layers: Sequence[int],
    samples: Sequence[Sample],
) -> Iterator[tuple[int, list[_Run]]]:
    """Each kept layer with its runs; both models' streams move on when the next one is asked for.

    The student's passes by the layers that go: of a norm after the sum, as BERT's, a layer of
    zeros leaves something. A model without a list of layers is one stage.
    """
    if not graph.blocks:
        yield (
            0,
            [
                _Run(_bound(sample.forward, dense), _bound(sample.forward, student), sample.real)
                for sample in samples
            ],
        )
        return
    entries = [_entry(dense, graph, sample) for sample in samples]
    streams = [(hidden, hidden) for hidden, _, _ in entries]
    for layer in range(graph.layers):
        name = f"{graph.blocks}.{layer}"
        blocks = dense.get_submodule(name), student.get_submodule(name)
        runs = [
            _Run(
                _bound(blocks[0], pair[0], *args, **kwargs),
                _bound(blocks[1], pair[1], *args, **kwargs),
                sample.real,
            )
            for sample, pair, (_, args, kwargs) in zip(samples, streams, entries, strict=True)
        ]
        if layer in layers:
            yield layer, runs
        if layer == layers[-1]:
            return  # nobody reads what comes after
        with torch.no_grad():
            for run in runs:
                if run.after is None:
                    run.dense_whole()
            streams = [
                (_hidden(run.after), _hidden(run.student()) if layer in layers else student_hidden)
                for run, (_, student_hidden) in zip(runs, streams, strict=True)
            ]


def _bound(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[], Any]:
    return lambda: call(*args, **kwargs)


def _entry(
    model: nn.Module, graph: Graph, sample: Sample
) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """What the first layer is called with; the embeddings are the same in both models."""
    caught: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def catch(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append((args, kwargs))
        raise _Reached

    first = model.get_submodule(f"{graph.blocks}.0")
    hook = first.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        with torch.no_grad(), suppress(_Reached):
            sample.forward(model)
    finally:
        hook.remove()
    args = tuple(_uncached(value) for value in caught[0][0])
    kwargs = {name: _uncached(value) for name, value in caught[0][1].items()}
    hidden = args[0] if args else kwargs.pop("hidden_states")
    return hidden, args[1:], kwargs


def _uncached(value: Any) -> Any:
    """A layer is called many times: no call may see the keys of the one before."""
    return None if isinstance(value, Cache) else value


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def _block_influence(model: nn.Module, graph: Graph, samples: Sequence[Sample]) -> dict[int, float]:
    total = dict.fromkeys(range(graph.layers), 0.0)
    for sample in samples:
        hidden, args, kwargs = _entry(model, graph, sample)
        for layer in total:
            with torch.no_grad():
                after = _hidden(
                    model.get_submodule(f"{graph.blocks}.{layer}")(hidden, *args, **kwargs)
                )
            cosine = torch.cosine_similarity(hidden, after, dim=-1).flatten()
            total[layer] += float((1 - unpadded(cosine, sample.real)).mean())
            hidden = after
    return total
