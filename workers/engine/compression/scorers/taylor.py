"""Importance by what the loss would change, to first order (Molchanov et al. 2019, 1906.10771)."""

from __future__ import annotations

from torch import Tensor


def taylor(reader: Tensor, gradient: Tensor) -> Tensor:
    """Σᵢ |Wᵢⱼ·∂L/∂Wᵢⱼ| of each column j of the layer that reads a unit: (out, in) twice → (in,).

    The signed sum is the loss's first-order change; it cancels between tokens that want opposite
    things of a unit, so each weight counts by its own.
    """
    return (reader.double() * gradient.double()).abs().sum(dim=0)
