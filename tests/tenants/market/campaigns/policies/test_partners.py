"""Policies of plugins in a campaign: asked once a month for all paths, ended when they fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from plugins.host.facts import Failure, Outcome
from plugins.sdk.contracts import CampaignStep
from saas.markdown import as_html
from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.campaign import MOST_PARTNERS, campaign_run
from tenants.market.campaigns.estimates import campaign_seconds
from tenants.market.campaigns.policies.bundling import Niche
from tenants.market.campaigns.policies.partners import PartnerPolicy
from tenants.market.campaigns.simulate import Simulation
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.campaigns.worlds import world_of
from tenants.market.reporting.brief import brief
from tests.tenants.market.factories import campaign, spec
from workers.tasks.channel import MAX_FRAME

NAME = "plugin.acme.theirs"
Answer = Callable[[CampaignStep], Any]


def theirs(answer: Answer, name: str = NAME) -> PartnerPolicy:
    def call(policy: str, step: CampaignStep) -> Outcome:
        assert f"plugin.acme.{policy}" == name
        found = answer(step)
        if isinstance(found, Failure):
            return Outcome("acme", "1.0", failure=found)
        return Outcome("acme", "1.0", found)

    return PartnerPolicy(name, call, "acme 1.0")


def asked(*names: str) -> CampaignSpec:
    policies = [{"name": name} for name in ("hold", *names)]
    return CampaignSpec.read(campaign(policies=policies, paths=100, scenarios=10, months=6))


def test_it_is_called_once_a_month_for_all_paths() -> None:
    steps: list[CampaignStep] = []

    def half(step: CampaignStep) -> tuple[Decimal, ...]:
        steps.append(step)
        return tuple(price / 2 for price in step.own_prices)

    outcome = Simulation(world_of(spec(months=3))).run(theirs(half))
    assert [step.step for step in steps] == [0, 1, 2]
    assert {len(step.own_prices) for step in steps} == {spec().paths}
    assert outcome.price[0] == pytest.approx(1.25)


def test_it_is_compared_with_ours_and_named() -> None:
    result = campaign_run(asked(NAME), partners=[theirs(lambda step: step.own_prices)])
    held, found = result["policies"]
    assert (found["policy"], found["plugin"], found["parameters"]) == (NAME, "acme 1.0", {})
    assert found["final_cash"]["mean"] == pytest.approx(held["final_cash"]["mean"], rel=1e-9)
    assert "theirs (plugin acme)" in brief(result)
    assert "theirs（插件 acme）" in brief(result, "zh-hans")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda _: Failure("raised", "ValueError: no idea"), "raised: ValueError: no idea"),
        (lambda step: step.own_prices[:1], "1 prices for 100 paths"),
        (lambda step: (Decimal(-1), *step.own_prices[1:]), "price is -1.0 in segment 0, path 0"),
        (lambda step: (*step.own_prices[1:], Decimal("1e999")), "price is inf"),
        (lambda step: (*step.own_prices[1:], Decimal("1e308")), "more than 11 times today's"),
        (lambda step: (*step.own_prices[1:], Decimal("27.6")), "27.6 on path 99"),
        (lambda step: (*step.own_prices[1:], Decimal("NaN")), "price is nan"),
    ],
)
def test_one_that_fails_ends_itself_and_not_the_campaign(answer: Answer, told: str) -> None:
    result = campaign_run(asked(NAME), partners=[theirs(answer)])
    (failed,) = result["failed"]
    assert failed["policy"] == NAME
    assert failed["reason"].startswith(f"policy {NAME!r}, month 0: ")
    assert told in failed["reason"]
    assert [row["policy"] for row in result["policies"]] == ["hold"]
    assert result["recommendation"]["policy"] == "hold"
    assert told in brief(result)


def test_a_plugins_words_are_quoted_in_the_brief_and_not_obeyed() -> None:
    """They are a stranger's: no heading, link or picture of theirs is ours."""
    said = "ValueError: no `` idea\n\n# Follow theirs\n\n[pay](http://x.org) ![](http://x.org/i)"
    failing = theirs(lambda _: Failure("raised", said))
    page = as_html(brief(campaign_run(asked(NAME), partners=[failing])))
    assert "ValueError: no `` idea # Follow theirs [pay](http://x.org) ![](http://x.org/i)" in page
    assert not re.search("<(a|img) ", page)
    assert page.count("<h1>") == 1


def test_it_may_ask_as_much_as_the_dearest_of_ours() -> None:
    dearest = Niche(raised=10.0, worth=0.0)
    alone = asked(NAME).segments[:1]
    world = world_of(asked(NAME).model_copy(update={"segments": alone}))
    ours = Simulation(world).run(dearest)
    found = Simulation(world).run(theirs(lambda step: (Decimal("27.5"),) * len(step.own_prices)))
    assert found.price.tolist() == ours.price.tolist()


def test_a_leader_that_fails_in_the_tornado_leaves_the_lead_to_the_next() -> None:
    """Alone in the market, whoever asks a little more earns more: it leads, then is gone."""
    calls = 0

    def soon_gone(step: CampaignStep) -> Any:
        nonlocal calls
        calls += 1
        dearer = tuple(price * Decimal("1.02") for price in step.own_prices)
        return dearer if calls <= 6 else Failure("timeout", "no prices within 10 s")

    alone = campaign()["segments"][0] | {"own_share": 0.5, "shares": {}, "elasticity": 0.1}
    given = campaign(policies=[{"name": "hold"}, {"name": NAME}], paths=10, scenarios=10, months=6,
                     rivals=[], segments=[alone])  # fmt: skip
    result = campaign_run(CampaignSpec.read(given), partners=[theirs(soon_gone)])
    assert "month 0: timeout" in result["failed"][0]["reason"]
    assert calls == 7
    assert result["recommendation"]["leader"] == "hold"
    assert [row["policy"] for row in result["policies"]] == ["hold"]


@pytest.mark.parametrize(
    ("policy", "changes", "told"),
    [
        ({"name": "plugin.acme"}, {}, "is named plugin.<plugin>.<policy>"),
        ({"name": NAME, "parameters": {"by": 1}}, {}, "takes no parameters"),
        ({"name": NAME}, {}, "called by a running platform only"),
        ({"name": NAME}, {"paths": 60_000}, "at most 50,000 paths"),
    ],
)
def test_one_that_cannot_be_asked_is_refused_first(
    policy: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    given = campaign(policies=[policy], **changes)
    with pytest.raises(InvalidInput, match=re.escape(told)):
        campaign_run(CampaignSpec.read(given))


def few(*names: str, **changes: Any) -> CampaignSpec:
    """A campaign of plugins' policies beside all of ours, without a market."""
    alone = {"rivals": [], "segments": [campaign()["segments"][0] | {"shares": {}}]}
    given = campaign(policies=[{"name": name} for name in names], paths=20, scenarios=10, **alone)
    return CampaignSpec.read(given | changes)


def test_the_result_of_as_many_as_may_be_asked_fits_one_frame() -> None:
    names = [f"{NAME}_{number}" for number in range(MOST_PARTNERS)]
    partners = [theirs(lambda step: step.own_prices, name) for name in names]
    result = campaign_run(few(*names, months=120), partners=partners)
    assert len(json.dumps(result, separators=(",", ":"))) < 0.9 * MAX_FRAME
    with pytest.raises(InvalidInput, match="at most 10 policies of plugins, not 11"):
        campaign_run(few(*names, NAME))


def test_beside_a_plugins_policy_alone_all_of_ours_are_tried() -> None:
    result = campaign_run(few(NAME, months=1), partners=[theirs(lambda step: step.own_prices)])
    assert {row["policy"] for row in result["policies"]} > {NAME, "hold", "niche"}


def test_asking_a_plugin_is_in_the_quoted_time() -> None:
    without, with_it = campaign_seconds(asked()), campaign_seconds(asked(NAME))
    assert all(more > less for less, more in zip(without, with_it, strict=True))
