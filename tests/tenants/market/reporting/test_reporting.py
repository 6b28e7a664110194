"""The brief says what the result says, in both languages; plots are what they claim to be."""

from __future__ import annotations

from functools import cache
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.campaign import campaign_run
from tenants.market.campaigns.policies import POLICIES
from tenants.market.campaigns.specs import LEVERS, CampaignSpec
from tenants.market.reporting.brief import brief
from tenants.market.reporting.plots import PLOTS, plot
from tenants.market.reporting.words import CHINESE, LANGUAGES, WORDS
from tests.tenants.market.factories import campaign

LEVER = {"name": "pruning", "unit_cost_saving": {"low": 0.1, "mode": 0.2, "high": 0.4}}


@cache
def result() -> dict[str, Any]:
    asked = campaign(
        policies=[{"name": "hold"}, {"name": "undercut"}],
        paths=100, scenarios=10, months=6, levers=[LEVER],
    )  # fmt: skip
    return campaign_run(CampaignSpec.read(asked))


def decided(**changes: Any) -> dict[str, Any]:
    found = {"policy": "hold", "leader": "hold", "wins": {"hold": 0.9, "undercut": 0.1},
             "refused": (), "depends_on": None}  # fmt: skip
    return result() | {"recommendation": found | changes}


def test_a_proposal_is_made_in_both_languages() -> None:
    assert "**Proposed: hold**. It leaves the most cash in 90%" in brief(decided())
    assert "**建议：维持价格**" in brief(decided(), "zh-hans")


def test_where_it_depends_the_assumption_stands_in_the_brief() -> None:
    depends = {"assumption": "reaction", "threshold": 0.12, "wins_below": 0.9, "wins_above": 0.2,
               "instead": "undercut", "strength": 0.1}  # fmt: skip
    found = decided(policy=None, wins={"hold": 0.6, "undercut": 0.4}, depends_on=depends)
    assert "**No policy is proposed.**" in brief(found)
    assert "depends on *reaction*: below 0.12, hold wins in 90%" in brief(found)
    assert "结果取决于*对手反应强度*" in brief(found, "zh-hans")


def test_where_all_are_ruined_the_war_is_advised_against() -> None:
    found = decided(policy=None, refused=("hold", "undercut"))
    assert "Do not start this war" in brief(found)
    assert "不要发动这场价格战" in brief(found, "zh-hans")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_policy_lever_and_condition_is_in_the_brief(language: str) -> None:
    text, words = brief(result(), language), WORDS[language]
    for row in result()["policies"]:
        assert words.name(row["policy"]) in text
        assert f"{row['final_cash']['mean']:,.0f}" in text
    assert f"{result()['levers'][0]['mean']:,.0f}" in text
    assert words.fine_print in text
    assert "{" not in text


def test_chinese_has_a_name_for_every_policy_and_lever() -> None:
    assert set(POLICIES) | set(LEVERS) <= set(CHINESE.names)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InvalidInput, match="en, zh-hans"):
        brief(result(), "tlh")


@pytest.mark.parametrize("name", sorted(PLOTS))
def test_plots_are_png_and_svg_and_the_same_each_time(name: str) -> None:
    assert plot(result(), name, "png").startswith(b"\x89PNG\r\n")
    drawn = plot(result(), name, "svg")
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert drawn == plot(result(), name, "svg")


def test_an_unknown_plot_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no plot"):
        plot(result(), "pie", "png")
