"""Dials: what stays, what turns, and that whatever they say is a campaign."""

from __future__ import annotations

import pytest

from tenants.market.campaigns.dials import LEVERS, PRIORS, dialled
from tenants.market.campaigns.specs import LEVERS as NAMES
from tenants.market.campaigns.specs import Assumptions, CampaignSpec
from tests.tenants.market.factories import campaign

AT_REST = {name: dial.usual for name, dial in PRIORS.items()}


def test_there_is_a_dial_for_every_lever_and_every_prior() -> None:
    assert set(LEVERS) == set(NAMES)
    assert set(PRIORS) == set(Assumptions.model_fields)


def test_dials_at_rest_leave_every_prior_as_it_is() -> None:
    spec = CampaignSpec.read(dialled(campaign(), AT_REST, dict.fromkeys(LEVERS, 0.0)))
    assert spec.assumptions == Assumptions()
    assert spec.levers == ()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_wherever_the_dials_stand_it_is_a_campaign(share: float) -> None:
    spec = CampaignSpec.read(
        dialled(
            campaign(),
            {name: share * dial.most for name, dial in PRIORS.items()},
            {name: share * dial.most for name, (_, dial) in LEVERS.items()},
        )
    )
    assert spec.assumptions.stickiness == share * PRIORS["stickiness"].most
    assert spec.assumptions.reaction.mode == pytest.approx(share * PRIORS["reaction"].most)
    assert len(spec.levers) == (len(LEVERS) if share else 0)
