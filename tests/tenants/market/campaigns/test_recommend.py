"""Both planted cases: a policy that wins everywhere, and one that wins on an assumption."""

from __future__ import annotations

import numpy as np
import pytest

from tenants.market.campaigns.recommend import recommend

RNG = np.random.default_rng(5)
WORLDS = 400
ASSUMED = {"reaction": RNG.random(WORLDS), "growth": RNG.normal(size=WORLDS)}
SAFE = {"hold": 0.0, "match": 0.0, "bundle": 0.0}


def values(**gains: np.ndarray) -> dict[str, np.ndarray]:
    noise = RNG.normal(0, 0.1, (len(gains), WORLDS))
    return {name: gain + noise[row] for row, (name, gain) in enumerate(gains.items())}


def test_a_policy_that_wins_nearly_everywhere_is_proposed() -> None:
    flat = np.zeros(WORLDS)
    found = recommend(
        values(hold=flat, match=flat - 1, bundle=flat + 1), SAFE, ASSUMED, ruin_limit=0.05
    )
    assert found.policy == "bundle"
    assert found.wins["bundle"] >= 0.8
    assert found.depends_on is None


def test_one_that_wins_where_rivals_stay_calm_is_not_and_the_assumption_is_named() -> None:
    calm = np.where(ASSUMED["reaction"] < 0.6, 1.0, -1.0)
    found = recommend(
        values(hold=np.zeros(WORLDS), match=calm, bundle=np.full(WORLDS, -3.0)),
        SAFE, ASSUMED, ruin_limit=0.05,
    )  # fmt: skip
    assert found.policy is None
    assert found.leader == "match"
    depends = found.depends_on
    assert depends is not None
    assert (depends.assumption, depends.instead) == ("reaction", "hold")
    assert depends.threshold == pytest.approx(0.6, abs=0.02)
    assert depends.wins_below > 0.99
    assert depends.wins_above < 0.01


def test_one_that_ruins_us_is_refused_however_much_it_wins() -> None:
    flat = np.zeros(WORLDS)
    found = recommend(
        values(hold=flat, match=flat + 5), {"hold": 0.01, "match": 0.2}, ASSUMED, ruin_limit=0.05
    )
    assert (found.policy, found.refused) == ("hold", ("match",))


def test_where_all_ruin_us_none_is_proposed() -> None:
    flat = np.zeros(WORLDS)
    found = recommend(values(hold=flat), {"hold": 0.3}, ASSUMED, ruin_limit=0.05)
    assert (found.policy, found.leader, found.refused) == (None, "hold", ("hold",))
