"""Scorers on hand-sized tensors, each against its closed form."""

from __future__ import annotations

import math

import torch

from workers.engine.compression.scorers.magnitude import magnitude
from workers.engine.compression.scorers.random import random
from workers.engine.compression.scorers.taylor import taylor
from workers.engine.compression.scorers.threshold import threshold
from workers.engine.compression.scorers.wanda import wanda

WEIGHTS = torch.tensor([[3.0, -4.0], [0.05, -0.2], [0.0, 0.0]])


def test_magnitude_is_the_norm() -> None:
    assert magnitude(WEIGHTS).tolist() == [5.0, math.hypot(WEIGHTS[1, 0], WEIGHTS[1, 1]), 0.0]


def test_threshold_is_the_share_that_is_not_redundant() -> None:
    assert threshold(WEIGHTS, 0.1).tolist() == [1.0, 0.5, 0.0]
    assert threshold(torch.tensor([[0.3, 0.2]]), 0.3).tolist() == [0.5]  # |w| < t goes, = t stays


def test_wanda_is_weight_times_activation() -> None:
    reader = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    x = torch.tensor([[3.0, 0.0], [4.0, 2.0]])
    assert wanda(reader, x.norm(dim=0)).tolist() == [(1 + 3) * 5.0, (2 + 0.5) * 2.0]


def test_taylor_is_weight_times_gradient() -> None:
    reader = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    gradient = torch.tensor([[0.5, 1.0], [-1.0, 0.0]])
    assert taylor(reader, gradient).tolist() == [0.5 + 3.0, 2.0]


def test_taylor_foretells_the_loss_of_a_single_weight() -> None:
    weight = torch.tensor([[0.3, -0.2]], requires_grad=True)
    x, y = torch.tensor([1e-4, 2.0]), torch.tensor([1.0])
    (weight @ x - y).square().sum().backward()
    assert weight.grad is not None
    without = torch.tensor([[0.0, -0.2]])
    change = (without @ x - y).square().sum() - (weight.detach() @ x - y).square().sum()
    torch.testing.assert_close(
        taylor(weight.detach(), weight.grad)[0], change.abs().double(), rtol=0.05, atol=0
    )


def test_random_is_the_same_for_the_same_seed() -> None:
    assert random(8, 3).tolist() == random(8, 3).tolist()
    assert random(8, 3).tolist() != random(8, 4).tolist()
