"""Importance by weight and activation (Sun et al. 2023, arXiv:2306.11695)."""

from __future__ import annotations

from torch import Tensor


def wanda(reader: Tensor, input_norms: Tensor) -> Tensor:
    """Σᵢ |Wᵢⱼ|·‖xⱼ‖₂ of each column j of the layer that reads a unit.

    Args:
        reader: (out, in).
        input_norms: (in,), the Euclidean norm of each input over all calibration tokens.

    Returns:
        (in,).
    """
    return reader.double().abs().sum(dim=0) * input_norms.double()
