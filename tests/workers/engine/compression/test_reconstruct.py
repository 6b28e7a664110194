"""Least squares against numpy's solver, and on a space where the answer is exact."""

from __future__ import annotations

import numpy as np
import torch

from workers.engine.compression.reconstruct import Moments, reader_map, selection


def moments_of(x: torch.Tensor, x_dense: torch.Tensor, columns: torch.Tensor) -> Moments:
    return Moments.of(columns, zip(x.split(7), x_dense.split(7), strict=True))


def test_it_is_the_least_squares_solution_towards_the_dense_outputs() -> None:
    torch.manual_seed(0)
    x_dense = torch.randn(60, 6)
    x = x_dense + 0.3 * torch.randn(60, 6)  # a pruned prefix
    weight = torch.randn(4, 6)
    columns = torch.tensor([0, 2, 5])
    change = reader_map(moments_of(x, x_dense, columns), ridge=1e-12)
    found = weight.double() @ change
    kept = x[:, columns].double().numpy()
    expected, *_ = np.linalg.lstsq(kept, (x_dense.double() @ weight.double().t()).numpy())
    np.testing.assert_allclose(found.t().numpy(), expected, atol=1e-8)


def test_the_ridge_is_tikhonovs_towards_plain_removal() -> None:
    torch.manual_seed(1)
    x = torch.randn(30, 4)
    columns, ridge = torch.tensor([1, 3]), 0.5
    found = reader_map(moments_of(x, x, columns), ridge)
    kept, start = x[:, columns].double().numpy(), selection(columns, 4).numpy()
    weight = ridge * np.mean(np.diag(kept.T @ kept))
    rows = np.vstack([kept, np.sqrt(weight) * np.eye(2)])
    wanted = np.vstack([x.double().numpy(), np.sqrt(weight) * start.T])
    expected, *_ = np.linalg.lstsq(rows, wanted)
    np.testing.assert_allclose(found.t().numpy(), expected, atol=1e-10)


def test_a_redundant_channel_is_replaced_without_error() -> None:
    torch.manual_seed(2)
    x = torch.randn(50, 3)
    x = torch.cat([x, (2 * x[:, :1] - x[:, 1:2])], dim=1)  # the last is a sum of others
    weight = torch.randn(5, 4)
    columns = torch.tensor([0, 1, 2])
    change = reader_map(moments_of(x, x, columns), ridge=1e-10)
    solved = (weight.double() @ change).float()
    torch.testing.assert_close(x[:, columns] @ solved.t(), x @ weight.t(), atol=1e-4, rtol=1e-4)


def test_keeping_all_of_an_unchanged_input_changes_nothing() -> None:
    x = torch.randn(20, 5)
    change = reader_map(moments_of(x, x, torch.arange(5)), ridge=0.01)
    assert torch.equal(change, torch.eye(5, dtype=torch.float64))
