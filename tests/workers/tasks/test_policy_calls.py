"""A plugin's policy is asked, in this process and isolated, and outlived where it hangs."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, catalog_make, discover
from plugins.host.environments import wheel_install
from plugins.host.isolated import Isolated
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from plugins.sdk.contracts import CampaignStep
from plugins.sdk.manifest import manifest_read
from tests.plugins.conftest import reachable, sandboxes, strongest_of  # noqa: F401
from tests.plugins.wheels import manifest, wheel_make
from workers.tasks.policy_calls import KEPT, PolicyCalls

PLUGIN = """
import threading
from decimal import Decimal
from plugins.sdk import CampaignPolicy, hookimpl

NAMES = ("half", "raises", "hangs", "nan", "exits", "text")

@hookimpl
def campaign_policies():
    return tuple(CampaignPolicy(name, name) for name in NAMES)

@hookimpl
def campaign_prices(policy, campaign):
    if policy == "raises":
        raise ValueError("no idea")
    if policy == "hangs":
        threading.Event().wait()
    if policy == "nan":
        return (Decimal("NaN"),) * len(campaign.own_prices)
    if policy == "exits":
        raise SystemExit(3)
    if policy == "text":
        return "cheap"
    return tuple(price / 2 for price in campaign.own_prices)
"""
STEP = CampaignStep(3, *((Decimal(2),) * 1000 for _ in range(3)))


class Door:
    """A plugin's calls, and what was told of them."""

    def __init__(self, host: PluginHost, site: str) -> None:
        """Patient, for what should answer: a busy machine makes nobody late."""
        self.told: list[dict[str, Any]] = []
        self.beats = 0
        release = {
            "plugin": "pricing", "version": "1.0", "settings": {}, "permissions": [], "site": site,
        }  # fmt: skip
        self.calls = PolicyCalls(host, release, "t", beat=self.beat, tell=self.told.extend)

    def impatient(self) -> None:
        self.calls._call_s = 0.5

    def beat(self) -> None:
        self.beats += 1


@pytest.fixture(params=["trusted", "isolated"])
def door(
    request: pytest.FixtureRequest,
    reachable: Path,  # noqa: F811
    sandboxes: dict[str, Sandbox],  # noqa: F811
) -> Iterator[Door]:
    pool = Pool()
    site = ""
    if request.param == "trusted":
        module = types.ModuleType("pricing_trusted")
        exec(PLUGIN, module.__dict__)
        sys.modules["pricing_trusted"] = module
        found = [Plugin(manifest_read(manifest("pricing")), "pricing_trusted", "trusted")]
    else:
        folder = reachable / "pricing"
        if not folder.exists():
            wheel_install(
                wheel_make(reachable, "pricing", PLUGIN, toml=manifest("pricing")), folder
            )
        found, site = discover(folder, "isolated"), str(folder)  # type: ignore[assignment]
    catalog = catalog_make(found, platform_version="0.1.0")
    assert catalog.refused == ()
    yield Door(PluginHost(catalog, Isolated(sandboxes[strongest_of(sandboxes)], pool)), site)
    pool.close()
    sys.modules.pop("pricing_trusted", None)


def test_prices_come_back_for_all_paths(door: Door) -> None:
    outcome = door.calls("half", STEP)
    assert outcome.failure is None
    assert outcome.value == (Decimal(1),) * 1000
    assert door.told == []
    door.calls.flush()
    assert [one["failure"] for one in door.told] == [None]


@pytest.mark.parametrize(
    ("policy", "kind", "told"),
    [
        ("raises", "raised", "ValueError: no idea"),
        ("nan", "contract", "campaign_prices[0]: expected Decimal, got 'NaN'"),
        ("text", "contract", "expected tuple"),
    ],
)
def test_what_is_no_price_is_a_failure_that_says_so(
    door: Door, policy: str, kind: str, told: str
) -> None:
    outcome = door.calls(policy, STEP)
    assert outcome.failure is not None
    assert outcome.failure.kind == kind
    assert told in outcome.failure.message
    assert door.told[0]["failure"] == [kind, outcome.failure.message]
    assert door.calls("half", STEP).failure is None


def test_one_that_hangs_is_left_and_the_campaign_hears_orders_meanwhile(door: Door) -> None:
    door.impatient()
    outcome = door.calls("hangs", STEP)
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"
    assert door.beats > 1


def test_a_wish_to_stop_is_heard_while_it_hangs(door: Door) -> None:
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    door.calls._beat = stop
    with pytest.raises(Stopped):
        door.calls("hangs", STEP)


def test_outcomes_are_told_by_the_hundred(door: Door) -> None:
    for _ in range(KEPT):
        door.calls("half", CampaignStep(0, *(STEP.own_prices[:1],) * 3))
    assert [one["failure"] for one in door.told] == [None] * KEPT


def test_a_policy_that_takes_too_long_in_all_is_asked_no_more(door: Door) -> None:
    door.calls._left = 0.0
    outcome = door.calls("half", STEP)
    assert outcome.failure is not None
    assert "too long in all" in outcome.failure.message
