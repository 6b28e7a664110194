"""The founding essay's rule: a weight with |w| < t is redundant."""

from __future__ import annotations

from torch import Tensor


def threshold(weights: Tensor, t: float) -> Tensor:
    """The share of each unit's weights that are not redundant: (units, weights) → (units,).

    0 means that every weight of the unit is below the threshold.
    """
    return (weights.abs() >= t).double().mean(dim=1)
