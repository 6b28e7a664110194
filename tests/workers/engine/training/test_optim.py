"""Optimisers, clipping and schedules against torch.optim, torch.nn.utils and transformers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from workers.engine.specs import FineTuneSpec
from workers.engine.training import optim
from workers.engine.training.optim import OPTIMISERS, Sgd
from workers.engine.training.schedule import learning_rate

CASES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("sgd", {}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    (
        "sgd",
        {"momentum": 0.9, "weight_decay": 0.1},
        torch.optim.SGD,
        {"momentum": 0.9, "weight_decay": 0.1},
    ),
    ("adam", {}, torch.optim.Adam, {}),
    ("adam", {"weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    ("adamw", {"weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
    (
        "adamw",
        {"betas": (0.8, 0.95)},
        torch.optim.AdamW,
        {"betas": (0.8, 0.95), "weight_decay": 0.0},
    ),
]


@pytest.mark.parametrize("most_joined", [0, 2**23])
@pytest.mark.parametrize(("name", "settings", "reference", "options"), CASES)
def test_twenty_updates_equal_torchs(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    settings: dict[str, Any],
    reference: Any,
    options: dict[str, Any],
    most_joined: int,
) -> None:
    monkeypatch.setattr(optim, "MOST_JOINED", most_joined)
    torch.manual_seed(0)
    start = [torch.randn(7, 5), torch.randn(3)]
    ours = [torch.nn.Parameter(t.clone()) for t in start]
    theirs = [torch.nn.Parameter(t.clone()) for t in start]
    optimiser = OPTIMISERS[name](ours, FineTuneSpec(optimiser=name, **settings))
    other = reference(theirs, lr=1.0, **options)
    for update in range(20):
        rate = 0.1 / (update + 1)
        other.param_groups[0]["lr"] = rate
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        optimiser.gather()
        optimiser.step(rate)
        other.step()
    assert all(
        torch.allclose(p, q, rtol=1e-5, atol=1e-6) for p, q in zip(ours, theirs, strict=True)
    )
    assert all(p.grad is None for p in ours)


@pytest.mark.parametrize("most_joined", [0, 2**23])
@pytest.mark.parametrize("most", [0.5, 100.0])
def test_clipping_equals_torchs(
    monkeypatch: pytest.MonkeyPatch, most: float, most_joined: int
) -> None:
    monkeypatch.setattr(optim, "MOST_JOINED", most_joined)
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(2))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        p.grad = torch.randn_like(p)
        q.grad = p.grad.clone()
    optimiser = Sgd(ours, FineTuneSpec(optimiser="sgd"))
    norm = optimiser.gather()
    optimiser.clip(norm, most)
    optimiser.step(1.0)
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, most).item(), rel=1e-6)
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q - q.grad)


def test_zero_never_clips() -> None:
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.full((2,), 1e9)
    optimiser = Sgd([p], FineTuneSpec(optimiser="sgd"))
    optimiser.clip(optimiser.gather(), 0.0)
    optimiser.step(1.0)
    assert p.tolist() == [-1e9, -1e9]


@pytest.mark.parametrize(
    ("name", "reference"),
    [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)],
)
def test_after_the_warm_up_rates_equal_transformers(name: str, reference: Any) -> None:
    spec = FineTuneSpec(schedule=name, warmup_fraction=0.2, learning_rate=0.5)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = reference(optimiser, 4, 20)
    for update in range(20):
        if update >= 4:
            assert learning_rate(spec, update, 20) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def test_the_warm_up_is_a_line_that_starts_above_zero_and_ends_at_the_peak() -> None:
    spec = FineTuneSpec(schedule="constant", warmup_fraction=0.2, learning_rate=0.5)
    rates = [learning_rate(spec, update, 20) for update in range(20)]
    assert rates[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert set(rates[4:]) == {0.5}


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_every_rate_is_usable_even_for_a_single_update(schedule: str) -> None:
    for total in (1, 2, 7):
        for part in (0.0, 0.5, 1.0):
            spec = FineTuneSpec(schedule=schedule, warmup_fraction=part)
            rates = [learning_rate(spec, update, total) for update in range(total)]
            assert all(math.isfinite(r) and 0 < r <= spec.learning_rate for r in rates)


def test_gradients_that_keep_their_places_are_torchs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optim, "MOST_JOINED", 0)
    torch.manual_seed(0)
    start, inputs = torch.randn(7, 5), torch.randn(6, 2, 5)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimiser = OPTIMISERS["adamw"]([ours], FineTuneSpec(activation_checkpointing="full"))
    other = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.0)
    assert ours.grad is not None
    place = ours.grad.data_ptr()
    for both in inputs:
        for parameter in (ours, theirs):
            for x in both:  # two passes add up
                (parameter @ x).square().sum().backward()
        optimiser.clip(optimiser.gather(), 1.0)
        torch.nn.utils.clip_grad_norm_([theirs], 1.0)
        optimiser.step(0.01)
        other.step()
        other.zero_grad()
        assert ours.grad.data_ptr() == place
        torch.testing.assert_close(ours, theirs)
    (ours @ inputs[0, 0]).sum().backward()  # type: ignore[no-untyped-call]
    optimiser.clear()  # an update that is given up
    assert not ours.grad.any()
