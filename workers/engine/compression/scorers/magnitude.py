"""Importance by the size of the weights (Han et al. 2015, arXiv:1506.02626)."""

from __future__ import annotations

from torch import Tensor


def magnitude(weights: Tensor) -> Tensor:
    """The Euclidean norm of each unit's weights: (units, weights of a unit) → (units,)."""
    norms: Tensor = weights.double().norm(dim=1)
    return norms
