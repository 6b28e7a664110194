"""Least squares: the layer that reads a cut space is solved again, so that what is left stands in
for what is gone.

With x the pruned model's inputs of that layer, x_d the dense model's, and K the kept columns, the
map M minimises Σ ‖x_K·Mᵀ − x_d‖² over all calibration tokens, in the metric of any reading weight:
W′ = W·M gives least squares towards the dense outputs, and an adapter's A′ = A·M. The ridge pulls M
towards plain selection, so that removing nothing changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Sums over tokens, in double precision: Σ x_Kᵀx_K (kept, kept) and Σ x_Kᵀx_d (kept, in)."""

    columns: Tensor  # (kept,): K, indices of what stays
    gram: Tensor
    cross: Tensor

    @classmethod
    def of(cls, columns: Tensor, inputs: Iterable[tuple[Tensor, Tensor]]) -> Moments:
        """From batches of (x, x_d), both (tokens, in)."""
        gram, cross = torch.zeros(()), torch.zeros(())
        for x, x_dense in inputs:
            kept = x[:, columns].double()
            gram = gram + kept.t() @ kept
            cross = cross + kept.t() @ x_dense.double()
        return cls(columns, gram, cross)


def selection(columns: Tensor, inputs: int) -> Tensor:
    """(inputs, kept): the map of plain removal; W·M picks the kept columns."""
    chosen = torch.zeros(inputs, len(columns), dtype=torch.float64, device=columns.device)
    chosen[columns, torch.arange(len(columns), device=columns.device)] = 1
    return chosen


def reader_map(moments: Moments, ridge: float) -> Tensor:
    """M (in, kept), such that W·M is the reading weight solved again over the kept columns.

    Args:
        moments: of the calibration tokens.
        ridge: pull towards plain selection, relative to the inputs' mean square.
    """
    gram, chosen = moments.gram, selection(moments.columns, moments.cross.shape[1])
    wanted = moments.cross - gram @ chosen.t()  # what plain removal leaves to explain
    weight = ridge * gram.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    damped = gram + weight * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.cholesky(damped)
    return chosen + torch.cholesky_solve(wanted, factor).t()
