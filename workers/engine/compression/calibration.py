"""Calibration batches through a model, layer by layer: what a layer reads, and what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from workers.engine.compression.graph import Graph


@dataclass(frozen=True)
class Sample:
    """A calibration batch: how to run a model on it, and the loss that it gives."""

    forward: Callable[[nn.Module], Any]
    loss: Callable[[nn.Module], Tensor]
    real: Tensor | None = None  # (positions,): which are no padding; None = all of them


@dataclass(frozen=True)
class Calibration:
    """Rows as batches, and the tokens of each row."""

    samples: Sequence[Sample]
    lengths: Sequence[int]


@dataclass
class Run:
    """One batch through a part of both models, from where each of them stands."""

    dense: Callable[[], Any]
    student: Callable[[], Any]
    real: Tensor | None
    after: Any = None  # what the dense one, which stays as it is, gave; it is run once
    _read: dict[str, Tensor] = field(default_factory=dict)

    def dense_once(self) -> Any:
        if self.after is None:
            self.after = self.dense()
        return self.after

    def dense_input(self, model: nn.Module, layer: str, layers: Sequence[str]) -> Tensor:
        """(tokens, in) that `layer` reads in the dense model: asked once of each of `layers`."""
        if layer not in self._read:
            with inputs_of(model, layers) as seen:
                self.dense_once()
            self._read.update(seen)
        return unpadded(self._read.pop(layer), self.real)

    def student_input(self, model: nn.Module, layer: str) -> Tensor:
        """(tokens, in) that `layer` reads in the student as it is now."""
        with inputs_of(model, (layer,), stop=True) as seen, suppress(Reached):
            self.student()
        return unpadded(seen[layer], self.real)


class Reached(Exception):
    """What a pass was run for is known; the rest of it is not needed."""


@contextmanager
def inputs_of(
    model: nn.Module, layers: Sequence[str], *, stop: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Each call's input of `layers`, as (tokens, in), while the context is open.

    With `stop` a pass ends there, by `Reached`.
    """
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[name] = args[0].detach().reshape(-1, args[0].shape[-1])
            if stop:
                raise Reached

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
                square = squares_of(unpadded(x, sample.real))
                squares[name] = squares[name] + square if name in squares else square
    return {name: square.sqrt() for name, square in squares.items()}


def squares_of(x: Tensor) -> Tensor:
    """(in,): the sum of squares over tokens of x (tokens, in), in double precision."""
    return x.double().square().sum(0)


def stages(
    dense: nn.Module,
    student: nn.Module,
    graph: Graph,
    layers: Sequence[int],
    samples: Sequence[Sample],
) -> Iterator[tuple[int, list[Run]]]:
    """Each kept layer with its runs; both models' streams move on when the next one is asked for.

    The student's passes by the layers that go: of a norm after the sum, as BERT's, a layer of
    zeros leaves something. A model without a list of layers is one stage.
    """
    if not graph.blocks:
        yield (
            0,
            [
                Run(_bound(sample.forward, dense), _bound(sample.forward, student), sample.real)
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
            Run(
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
            streams = [
                (
                    _hidden(run.dense_once()),
                    _hidden(run.student()) if layer in layers else student_hidden,
                )
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
        raise Reached

    first = model.get_submodule(f"{graph.blocks}.0")
    hook = first.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        with torch.no_grad(), suppress(Reached):
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


def block_influence(model: nn.Module, graph: Graph, samples: Sequence[Sample]) -> dict[int, float]:
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
