"""SGD, Adam, AdamW (also in 8 bits), with clipping, over one tensor that small parameters share.

Same results as torch.optim. An adapter has hundreds of small tensors; as one, a step takes ten
operations instead of a thousand. Sources: Sutskever et al. 2013 (momentum), Kingma & Ba 2015
(arXiv:1412.6980), Loshchilov & Hutter 2019 (arXiv:1711.05101), Dettmers et al. 2022
(arXiv:2110.02861; 8 bits).
"""

# ruff: noqa: SLF001  (torch names its multi-tensor operations with an underscore)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from workers.engine.specs import FineTuneSpec
from workers.engine.training.moments import Moment, codes_of, scales_of, stretches

EPSILON = 1e-8
MOST_JOINED = 2**23  # numbers: an adapter's, not a whole model's, whose copy would cost memory


class Optimiser:
    """Updates `parameters` in place from their gradients; a slot holds one tensor per parameter.

    Small parameters become views of one tensor, unless `join` is false or the kind does not. Where
    memory is what counts (full checkpointing), a large model's gradients have their places from the
    start: made amid a backward pass, they lie scattered among what it frees, and none comes back.
    """

    slot_names: tuple[str, ...] = ()
    joins = True

    def __init__(
        self, parameters: Sequence[Tensor], spec: FineTuneSpec, *, join: bool = True
    ) -> None:
        self.parameters = list(parameters)
        self.spec = spec
        self.updates = 0
        self._is_joined = join and self.joins and _can_be_joined(self.parameters)
        self._weights = [_joined(self.parameters)] if self._is_joined else self.parameters
        self._slots = {
            name: [self._slot(name, weight) for weight in self._weights] for name in self.slot_names
        }
        self.slots = {name: self._apart(tensors) for name, tensors in self._slots.items()}
        self._gradients: list[Tensor] = []
        saving = spec.activation_checkpointing == "full"
        self._keeps_places = join and saving and not self._is_joined
        if self._keeps_places:
            for parameter in self.parameters:
                parameter.grad = torch.zeros_like(parameter)

    def gather(self) -> float:
        """Take over the gradients that the parameters hold; return their Euclidean norm."""
        each = [cast("Tensor", p.grad) for p in self.parameters]
        self._gradients = [torch.cat([g.reshape(-1) for g in each])] if self._is_joined else each
        if not self._keeps_places:
            self._let_go()
        norms = torch._foreach_norm(self._gradients)
        return float(torch.linalg.vector_norm(torch.stack(list(norms))))

    def clip(self, norm: float, most: float) -> None:
        """Scale the gathered gradients, of that norm, to a norm of at most `most` (0 = never)."""
        if most and norm > most:
            torch._foreach_mul_(self._gradients, most / (norm + 1e-6))

    def step(self, rate: float) -> None:
        """One update at learning rate `rate`; the gathered gradients are used up."""
        self.updates += 1
        with torch.no_grad():
            self._apply(self._gradients, rate)
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        self._gradients = []
        if self._keeps_places:
            torch._foreach_zero_([cast("Tensor", p.grad) for p in self.parameters])
        else:
            self._let_go()

    def _let_go(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def finite(self) -> bool:
        """Whether every weight is a number."""
        norms = torch._foreach_norm(self._weights)
        return bool(torch.stack(list(norms)).isfinite().all())

    def _slot(self, name: str, weight: Tensor) -> Tensor:  # noqa: ARG002
        """What a slot holds for a weight to begin with."""
        return torch.zeros_like(weight)

    def _apart(self, tensors: list[Tensor]) -> list[Tensor]:
        """One tensor for each parameter."""
        if not self._is_joined:
            return tensors
        parts = torch.split(tensors[0], [p.numel() for p in self.parameters])
        return [part.view_as(p) for part, p in zip(parts, self.parameters, strict=True)]

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        raise NotImplementedError


def _can_be_joined(parameters: Sequence[Tensor]) -> bool:
    kinds = {(p.dtype, p.device) for p in parameters}
    return len(kinds) == 1 and sum(p.numel() for p in parameters) <= MOST_JOINED


def _joined(parameters: Sequence[Tensor]) -> Tensor:
    """One flat tensor with the weights, of which the parameters are views from now on."""
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    for parameter, part in zip(
        parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True
    ):
        parameter.data = part.view_as(parameter)
    return flat


class Sgd(Optimiser):
    """g ← g + decay·p;  m ← momentum·m + g;  p ← p − rate·m."""

    slot_names = ("momentum",)

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        spec, momentum = self.spec, self._slots["momentum"]
        if spec.weight_decay:
            gradients = list(torch._foreach_add(gradients, self._weights, alpha=spec.weight_decay))
        torch._foreach_mul_(momentum, spec.momentum)
        torch._foreach_add_(momentum, gradients)
        torch._foreach_add_(self._weights, momentum, alpha=-rate)


class Adam(Optimiser):
    """p ← p − rate·m̂ / (√v̂ + ε); weight decay joins the gradient."""

    slot_names = ("mean", "square")
    fused = staticmethod(torch._fused_adam_)  # one pass over memory instead of ten

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        first, second = self.spec.betas
        weights = self._weights
        count = torch.full((), self.updates, dtype=torch.float32, device=weights[0].device)
        counts = [count] * len(weights)
        self.fused(
            weights, gradients, self._slots["mean"], self._slots["square"], [], counts,
            lr=rate,  # type: ignore[arg-type]  # of its two forms the stubs know the other
            beta1=first, beta2=second, weight_decay=self.spec.weight_decay, eps=EPSILON,
            amsgrad=False, maximize=False,
        )  # fmt: skip


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights directly: p ← p·(1 − rate·decay) first."""

    fused = staticmethod(torch._fused_adamw_)


class AdamW8bit(Optimiser):
    """AdamW whose two moments are kept in 8 bits between steps, one scale for 256 numbers.

    Those of small parameters stay exact, so no parameters are joined.
    """

    slot_names = ("mean", "mean_scales", "square", "square_scales")
    joins = False

    def _slot(self, name: str, weight: Tensor) -> Tensor:
        return (scales_of if name.endswith("_scales") else codes_of)(weight)

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        slots = (self._slots[name] for name in self.slot_names)
        for weight, gradient, *each in zip(self._weights, gradients, *slots, strict=True):
            mean = Moment(each[0], each[1], is_signed=True)
            square = Moment(each[2], each[3], is_signed=False)
            for part in stretches(weight.numel()):
                new = gradient.reshape(-1)[part]
                self._adapt(weight.view(-1)[part], new, mean, square, part, rate)

    def _adapt(
        self,
        weight: Tensor,
        gradient: Tensor,
        mean: Moment,
        square: Moment,
        part: slice,
        rate: float,
    ) -> None:
        first, second = self.spec.betas
        m = mean.read(part).lerp_(gradient, 1 - first)
        v = square.read(part).mul_(second).addcmul_(gradient, gradient, value=1 - second)
        mean.write(part, m)
        square.write(part, v)
        size = v.sqrt().div_(math.sqrt(1 - second**self.updates)).add_(EPSILON)
        weight.mul_(1 - rate * self.spec.weight_decay)
        weight.addcdiv_(m, size, value=-rate / (1 - first**self.updates))


OPTIMISERS: dict[str, type[Optimiser]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": AdamW,
    "adamw_8bit": AdamW8bit,
}
