"""The examples as partners ship them: built, installed apart, run confined."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, catalog_make, discover
from plugins.host.environments import provided_link, provided_versions, wheel_install
from plugins.host.facts import Enabled, Limits
from plugins.host.isolated import Isolated
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from plugins.kit.building import wheel_build
from tests.architecture.sources import ROOT
from tests.plugins.conftest import strongest_of

EXAMPLES = ROOT / "plugins" / "examples"


@pytest.fixture(scope="module")
def finance_risk(reachable: Path) -> Plugin:
    wheel = wheel_build(EXAMPLES / "finance_risk", reachable)
    wheel_install(wheel, reachable / "finance_risk")
    found = discover(reachable / "finance_risk", "isolated")
    (plugin,) = catalog_make(found, platform_version="0.1.0", provided=provided_versions()).plugins
    return plugin


def test_finance_risk_scores_real_data_better_than_the_base_rate(
    finance_risk: Plugin, reachable: Path, sandboxes: dict[str, Sandbox], tmp_path: Path
) -> None:
    strongest = sandboxes[strongest_of(sandboxes)]
    sandbox = replace(strongest, limits=Limits(call_s=60.0))
    sandbox._runtime = strongest.runtime
    pool = Pool()
    catalog = catalog_make([finance_risk], platform_version="0.1.0", provided=provided_versions())
    host = PluginHost(catalog, Isolated(sandbox, pool, provided_link(reachable / "lent")))
    enabled = Enabled("finance_risk", {}, frozenset({"data.datasets"}))
    try:
        (outcome,) = host.call(
            "run_step",
            {"pipeline": "risk", "step": "score"},
            tenant="t",
            enabled=[enabled],
            order=WorkOrder("call", tmp_path),
        )
    finally:
        pool.close()
    assert outcome.failure is None
    figures = outcome.value.figures
    assert figures["rows"] == 20190
    assert figures["brier"] < figures["brier_of_base_rate"] * 0.98
    assert figures["auc"] > 0.62
    assert figures["calibration_error"] < 0.03
    assert "Not for deciding" in outcome.value.notice
    scores = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert len(scores) == 4038
    assert all(0 <= float(row["probability"]) <= 1 for row in scores)
    assert outcome.usage_keys == {"rows": "plugin:finance_risk:call:rows"}


def test_the_sdk_builds_as_a_wheel_of_its_own(tmp_path: Path) -> None:
    wheel = wheel_build(ROOT / "plugins" / "sdk", tmp_path)
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import plugins.sdk as s; "
        "import plugins.sdk.testing; print(s.__file__, s.SDK_VERSION)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert str(site) in shown.stdout
