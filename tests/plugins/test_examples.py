"""The examples as partners ship them: built, installed apart, run confined."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, Refused, catalog_make, discover
from plugins.host.environments import provided_link, provided_versions, wheel_install
from plugins.host.facts import Enabled, Limits, Outcome
from plugins.host.isolated import Isolated
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from plugins.kit.building import wheel_build
from plugins.kit.conformance import conformance_check
from plugins.sdk.contracts import CampaignStep
from plugins.sdk.hooks import hooks
from tests.architecture.sources import ROOT
from tests.plugins.conftest import strongest_of

EXAMPLES = ROOT / "plugins" / "examples"


Run = Callable[[str, str, dict[str, Any], dict[str, Any]], Outcome]


@pytest.fixture(scope="module")
def wheels(reachable: Path) -> dict[str, Path]:
    names = ("finance_risk", "medical_diagnosis", "education_tutor")
    return {name: wheel_build(EXAMPLES / name, reachable) for name in names}


@pytest.fixture(scope="module")
def sandbox(sandboxes: dict[str, Sandbox]) -> Sandbox:
    """The strongest one here, with a partner's usual time instead of a hostile one's."""
    strongest = sandboxes[strongest_of(sandboxes)]
    return replace(strongest, limits=Limits(call_s=60.0))


@pytest.fixture(scope="module")
def run(
    wheels: dict[str, Path], sandbox: Sandbox, reachable: Path, tmp_path_factory: Any
) -> Iterator[Run]:
    """Each example installed apart from its wheel, all in one host, enabled for one tenant."""
    found: list[Plugin | Refused] = []
    for name, wheel in wheels.items():
        wheel_install(wheel, reachable / f"{name}-site")
        found += discover(reachable / f"{name}-site", "isolated")
    catalog = catalog_make(found, platform_version="0.1.0", provided=provided_versions())
    assert catalog.refused == ()
    pool = Pool()
    host = PluginHost(catalog, Isolated(sandbox, pool, provided_link(reachable / "lent")))

    def call(plugin: str, hook: str, args: dict[str, Any], settings: dict[str, Any]) -> Outcome:
        results = tmp_path_factory.mktemp(plugin)
        enabled = Enabled(plugin, settings, frozenset({"data.datasets"}))
        order = WorkOrder("call", results) if "work" in hooks()[hook].arguments else None
        (outcome,) = host.call(hook, args, tenant="t", enabled=[enabled], order=order)
        assert outcome.failure is None
        made = set(outcome.value.files) if order else set()
        assert {path.name for path in results.iterdir()} == made
        return outcome

    yield call
    pool.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finance_risk", "medical_diagnosis", "education_tutor"])
def test_an_example_conforms(name: str, wheels: dict[str, Path], sandbox: Sandbox) -> None:
    report = conformance_check(wheels[name], sandbox=sandbox, platform_version="0.1.0")
    assert report.passed, report.failures


def test_finance_risk_scores_real_data_better_than_the_base_rate(run: Run) -> None:
    outcome = run("finance_risk", "run_step", {"pipeline": "risk", "step": "score"}, {})
    figures = outcome.value.figures
    assert figures["rows"] == 20190
    assert figures["brier"] < figures["brier_of_base_rate"] * 0.98
    assert figures["auc"] > 0.62
    assert figures["calibration_error"] < 0.03
    assert "Not for deciding" in outcome.value.notice
    assert outcome.usage_keys == {"rows": "plugin:finance_risk:call:rows"}


def test_finance_risk_prices_every_path_of_a_campaign_at_once(run: Run) -> None:
    paths = tuple(map(Decimal, ("3", "2.4", "1") * 1000))
    step = CampaignStep(0, paths, tuple(price / 2 for price in paths), (Decimal(1),) * 3000)
    args = {"policy": "follow_slowly", "campaign": step}
    prices = run("finance_risk", "campaign_prices", args, {}).value
    assert prices == tuple(map(Decimal, ("2.5", "2.0", "1.25") * 1000))


def test_medical_diagnosis_errs_less_where_it_answers(run: Run) -> None:
    args = {"pipeline": "screening", "step": "classify"}
    outcome = run("medical_diagnosis", "run_step", args, {})
    figures = outcome.value.figures
    assert figures["error"] < figures["error_if_forced"] < figures["error_of_majority"] / 5
    assert figures["answered"] > 0.85
    assert "No medical device" in outcome.value.notice
    bolder = run("medical_diagnosis", "run_step", args, {"most_wrong": 0.05}).value.figures
    assert bolder["answered"] > figures["answered"]
    digits = {"kind": "evaluation", "method": "digits"}
    figures = run("medical_diagnosis", "run_method", digits, {}).value.figures
    assert figures["error"] < figures["error_if_forced"] < figures["error_of_majority"] / 10


def test_education_tutor_explains_more_than_the_mean(run: Run) -> None:
    args = {"pipeline": "analytics", "step": "districts"}
    outcome = run("education_tutor", "run_step", args, {})
    figures = outcome.value.figures
    assert figures["districts"] == 303
    assert figures["error"] < figures["error_of_mean"] * 0.8
    assert "Not for grading" in outcome.value.notice


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finance_risk", "medical_diagnosis", "education_tutor"])
def test_an_example_passes_its_own_tests(name: str) -> None:
    project = EXAMPLES / name
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{project}"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    options = ["-q", "-p", "no:django", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={project}", str(project / "tests")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


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
