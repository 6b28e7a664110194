"""The base of QLoRA: the layers that adapters stand on in NF4, the rest as it is.

Source: Dettmers et al. 2023, "QLoRA" (arXiv:2305.14314).
"""

from __future__ import annotations

import torch
from torch import nn

from workers.engine.kernels.nf4_linear import Nf4Linear
from workers.engine.models import linear_names


def quantised(model: nn.Module, device: torch.device | str) -> nn.Module:
    """`model` on `device`, its blocks' linear layers in NF4.

    Layer by layer, so that no more than one of them is whole there at once.
    """
    for name in linear_names(model):
        model.set_submodule(name, Nf4Linear(model.get_submodule(name), device))
    return model.to(device)
