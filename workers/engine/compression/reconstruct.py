"""Least squares: the layer that reads a cut space is solved again, so that what is left stands in
for what is gone.

With x the pruned model's inputs of that layer, x_d the dense model's, and K the kept columns, the
map M minimises Σ ‖x_K·Mᵀ − x_d‖² over all calibration tokens, in the metric of any reading weight:
W′ = W·M gives least squares towards the dense outputs, and an adapter's A′ = A·M. The ridge pulls M
towards plain selection, so that removing nothing changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Sums over tokens, in double precision: `gram` = Σ xᵀx, `cross` = Σ xᵀx_d, both (in, in)."""

    gram: Tensor
    cross: Tensor
    tokens: int = 0

    @classmethod
    def empty(cls, inputs: int, device: torch.device | str = "cpu") -> Moments:
        zeros = torch.zeros(inputs, inputs, dtype=torch.float64, device=device)
        return cls(zeros, zeros.clone())

    def add(self, x: Tensor, x_dense: Tensor) -> None:
        """Count tokens in: both (tokens, in)."""
        x, x_dense = x.double(), x_dense.double()
        self.gram.addmm_(x.t(), x)
        self.cross.addmm_(x.t(), x_dense)
        self.tokens += len(x)

    @property
    def norms(self) -> Tensor:
        """(in,): the Euclidean norm of each input."""
        return self.gram.diagonal().clamp_min(0).sqrt()


def selection(columns: Tensor, inputs: int) -> Tensor:
    """(inputs, kept): the map of plain removal; W·M picks the kept columns."""
    chosen = torch.zeros(inputs, len(columns), dtype=torch.float64, device=columns.device)
    chosen[columns, torch.arange(len(columns), device=columns.device)] = 1
    return chosen


def reader_map(moments: Moments, columns: Tensor, ridge: float) -> Tensor:
    """M (in, kept), such that W·M is the reading weight solved again over the kept columns.

    Args:
        columns: (kept,), indices of what stays.
        ridge: pull towards plain selection, relative to the inputs' mean square.
    """
    chosen = selection(columns, len(moments.gram))
    gram = moments.gram[columns][:, columns]
    wanted = moments.cross[columns] - gram @ chosen.t()  # what plain removal leaves to explain
    weight = ridge * gram.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    damped = gram + weight * torch.eye(len(columns), dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.cholesky(damped)
    return chosen + torch.cholesky_solve(wanted, factor).t()
