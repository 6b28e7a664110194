"""The finders against the truth of a world that shares no rule with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.workers.waste.world.scene import Key
from tests.workers.waste.world.scoring import World, scores, wilson_low
from workers.waste.facts import Facts, Terms
from workers.waste.finders import FINDERS
from workers.waste.findings import Finding
from workers.waste.replay import findings_of, joint_saving, savings_beside


def seen(seed: int, size: int) -> tuple[World, Facts, list[Finding]]:
    world = World(seed, size)
    facts = world.facts()
    return world, facts, findings_of(facts, Terms())


def test_a_small_month_is_judged_right_as_a_whole() -> None:
    """All kinds taken together, since each has few here; the slow test judges each by itself."""
    world, facts, findings = seen(seed=3, size=12)
    truth = world.truth()
    assert {kind for kind, _ in truth} == set(FINDERS)
    right = [(f.kind, f.subject) in truth for f in findings]
    told = {(f.kind, f.subject) for f in findings}
    found = [key in told for key in truth]
    assert wilson_low(right, [1.0] * len(right)) >= 0.9
    assert wilson_low(found, [1.0] * len(found)) >= 0.9
    assert wilson_low(right, [float(f.saving) for f in findings]) >= 0.8  # few, unequal amounts

    promised = float(joint_saving(facts, findings))
    assert world.saved(findings) == pytest.approx(promised, rel=0.1)
    assert promised < float(sum(f.saving for f in findings))  # they overlap
    assert float(sum(savings_beside(facts, findings))) == pytest.approx(promised, abs=0.01)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_each_finder_is_right_and_complete_by_count_and_by_money() -> None:
    """Over ten months, together with at least two hundred leaks of each kind."""
    findings: list[Finding] = []
    truth: dict[Key, float] = {}
    promised = saved = 0.0
    for seed in range(101, 111):
        world, facts, found = seen(seed=seed, size=30)
        findings += [replace(f, subject=f"{seed}/{f.subject}") for f in found]
        truth |= {(kind, f"{seed}/{name}"): sum_ for (kind, name), sum_ in world.truth().items()}
        promised += float(joint_saving(facts, found))
        saved += world.saved(found)
    judged = scores(findings, truth)
    assert set(judged) == set(FINDERS)
    for kind, score in judged.items():
        assert score.positives >= 200, (kind, score)
        assert score.precision_low >= 0.9, (kind, score)
        assert score.recall_low >= 0.9, (kind, score)
        assert score.money_precision_low >= 0.9, (kind, score)
        assert score.money_recall_low >= 0.9, (kind, score)
    assert saved == pytest.approx(promised, rel=0.1)
