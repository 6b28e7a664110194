"""One member's training spread over the processes of torch.distributed, by FSDP2.

Weights, gradients and optimiser states lie in parts, one a process; a block's weights are whole
only while it computes. Each process takes its share of an update's examples, and gradients are
summed before the step, so an update is what one process would make of the same examples, but for
the order of its sums. Sources: Zhao et al. 2023, "PyTorch FSDP" (arXiv:2304.11277);
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from workers.engine.data.packing import Ints
from workers.engine.models import blocks_of
from workers.engine.tasks.scores import Score
from workers.engine.training.ranks import Ranks

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}
PATIENCE = timedelta(hours=2)  # the first process may wait for storage while the others wait for it


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join the processes that `launch` has started; gives the device of this one."""
    kind, _, _ = device.partition(":")
    if kind not in BACKENDS:
        raise ValueError(f"training in several processes is for cpu and cuda, not {device}")
    if kind == "cuda":
        device = f"cuda:{dist.get_node_local_rank()}"
        torch.cuda.set_device(device)
    dist.init_process_group(BACKENDS[kind], timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


class Sharded(Ranks):
    """This process among those of the default group."""

    def __init__(self, device: str) -> None:
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        self._mesh = init_device_mesh(device.partition(":")[0], (self.count,))
        # small numbers go by the CPU, whatever tensors go by
        self._talk = dist.new_group(backend="gloo", timeout=PATIENCE)
        self._modules: list[FSDPModule] = []
        self._parameters: dict[str, DTensor] = {}
        self._parts: dict[str, Tensor] = {}

    def spread(self, model: nn.Module) -> None:
        """Leave each process its part of every weight; blocks are gathered one by one."""
        for block in blocks_of(model):
            fully_shard(block, mesh=self._mesh)
        fully_shard(model, mesh=self._mesh, reshard_after_forward=False)
        self._modules = [m for m in model.modules() if isinstance(m, FSDPModule)]
        for module in self._modules:  # gradients of a sum, which the run has weighed
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(enable=True)
        plain = model.forward
        model.forward = partial(_forward, model, plain)
        cast("Any", model).compute_within = partial(_within, model)

    def parts(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._parameters = {name: cast("DTensor", p) for name, p in parameters.items()}
        self._parts = {
            name: cast("DTensor", p.detach()).to_local() for name, p in self._parameters.items()
        }
        return dict(self._parts)

    def part(self, whole: Tensor) -> Tensor:
        parts = whole.chunk(self.count)
        return parts[self.number] if self.number < len(parts) else whole[:0]

    def wholes(self, parts: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        for module in self._modules:  # who saves would do it alone, and gather alone afterwards
            module.reshard()
        found = {}
        for name, part in parts.items():
            like = self._parameters[name]
            spread = DTensor.from_local(
                part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
            )
            whole = spread.full_tensor()
            if self.is_first:
                found[name] = whole.cpu()
        return found

    def gather_gradients(self) -> None:
        for name, parameter in self._parameters.items():
            self._parts[name].grad = cast("DTensor", parameter.grad).to_local()
            parameter.grad = None

    def share(self, chosen: Sequence[int], lengths: Ints) -> list[int]:
        """The longest example goes to whoever has the fewest tokens yet, and so on."""
        loads, shares = [0] * self.count, [list[int]() for _ in range(self.count)]
        for place in sorted(range(len(chosen)), key=lambda at: (-int(lengths[at]), at)):
            least = loads.index(min(loads))
            loads[least] += int(lengths[place])
            shares[least].append(place)
        return [chosen[place] for place in sorted(shares[self.number])]

    def norm(self, own: float) -> float:
        return math.sqrt(self._reduced([own * own])[0])

    def sum(self, own: int) -> int:
        return round(self._reduced([float(own)])[0])

    def most(self, own: int) -> int:
        return round(self._reduced([float(own)], dist.ReduceOp.MAX)[0])

    def total(self, own: Score) -> Score:
        sums = {name: np.asarray(own.sums[name]) for name in sorted(own.sums)}
        given = [own.loss_sum, own.weight, own.tokens, own.examples]
        for each in sums.values():
            given += each.ravel().tolist()
        found = iter(self._reduced(list(map(float, given))))
        loss, weight, tokens, examples = islice(found, 4)
        whole = {
            name: np.fromiter(found, np.float64, each.size).reshape(each.shape)[()]
            for name, each in sums.items()
        }
        return Score(loss, round(weight), round(tokens), round(examples), whole)

    def told(self, number: int) -> int:
        """What the first process says."""
        said = torch.tensor([number])
        dist.broadcast(said, 0, group=self._talk)
        return int(said)

    def _reduced(self, numbers: list[float], how: Any = dist.ReduceOp.SUM) -> list[float]:
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, how, group=self._talk)
        found: list[float] = tensor.tolist()
        return found


def _forward(
    model: nn.Module,
    plain: Callable[..., Any],
    *args: Any,
    compute: Callable[..., Any] | None = None,
    **rest: Any,
) -> Any:
    """The model's own forward pass, or `compute` in its place: all weights outside blocks are whole
    meanwhile."""
    return plain(*args, **rest) if compute is None else compute(model, *args)


def _within(model: nn.Module, compute: Callable[..., Any], *given: Any) -> Any:
    return model(*given, compute=compute)
