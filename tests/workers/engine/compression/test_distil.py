"""Recovery: its losses against closed forms, its budget, and that it helps."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import softmax

from workers.engine.checks import SpecError
from workers.engine.compression.distil import distance, updates_within
from workers.engine.compression.specs import CompressSpec, RecoverSpec


def test_the_distance_is_kl_times_the_squared_temperature() -> None:
    student, teacher = torch.randn(4, 9), torch.randn(4, 9)
    for temperature in (1.0, 2.5):
        p, q = softmax(teacher / temperature, -1), softmax(student / temperature, -1)
        expected = temperature**2 * (p * (p.log() - q.log())).sum()
        torch.testing.assert_close(distance(student, teacher, temperature), expected)
    assert distance(teacher, teacher, 1.0).abs() < 1e-5


def test_the_budget_is_kept_over_several_passes() -> None:
    lengths = [5, 9, 7, 4, 6]
    spec = RecoverSpec(tokens=100, batch_size=2)
    updates = updates_within(lengths, spec)
    used = sum(lengths[e] for update in updates for e in update)
    assert 100 - 2 * 9 <= used <= 100
    first = [e for update in updates[:3] for e in update][:5]
    assert sorted(first) == [0, 1, 2, 3, 4]  # one pass after the other
    assert updates == updates_within(lengths, spec)
    assert updates != updates_within(lengths, RecoverSpec(tokens=100, batch_size=2, seed=1))


@pytest.mark.parametrize("tokens", [1, 8, 12])
def test_a_small_budget_buys_one_update(tokens: int) -> None:
    updates = updates_within([8, 8], RecoverSpec(tokens=tokens, batch_size=8))
    assert [len(update) for update in updates] == [1]


def test_no_budget_no_update() -> None:
    assert updates_within([5, 6], RecoverSpec(tokens=0)) == []


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(SpecError, match="weigh one of them"):
        RecoverSpec(logits=0.0)
    with pytest.raises(SpecError, match="recovery would fill a mask again"):
        CompressSpec.from_dict({"mask": {"ratio": 0.5}, "recover": {"tokens": 10}})
