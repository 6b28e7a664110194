"""The kit judges: what `new` makes passes, and each kind of fault is found and named."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.host.errors import HostError
from plugins.host.sandbox import Sandbox
from plugins.kit.building import wheel_build
from plugins.kit.commands import PLATFORM_VERSION
from plugins.kit.conformance import conformance_check
from plugins.kit.new import plugin_new
from plugins.kit.report import Report, report_read, report_write
from plugins.sdk.errors import ContractError
from tenants.kernel.version import code_version
from tests.architecture.sources import ROOT
from tests.plugins.conftest import strongest_of
from tests.plugins.wheels import manifest, wheel_make

Judge = Callable[[Path], Report]
SAMPLE = '\n[[samples]]\nhook = "prepare_dataset"\ninputs = ["in.jsonl"]\n'
HEAD = """
import itertools, time
from decimal import Decimal
from plugins.sdk import *

count = itertools.count(1)

@hookimpl
def meters():
    return (Meter("rows", "row", "Rows", Decimal(100)),)

@hookimpl
def prepare_dataset(work):
"""
GPU = """
from plugins.sdk import *

@hookimpl
def pipelines():
    return (Pipeline("P", "p", (Step("a", "train", "gpu"),)),)
"""
ENGINE = """
from plugins.sdk import *

@hookimpl
def pipelines():
    return (Pipeline("p", "p", (Step("tune", "train", engine="fine_tune"),)),)
"""
PRICE = """
from decimal import Decimal
from plugins.sdk import *

@hookimpl
def prices():
    return (Price("x", Decimal(1), "USD"),)
"""
DISCOUNT = """
from plugins.sdk import *

@hookimpl
def quote_adjustment(quote):
    return QuoteAdjustment(-quote.amount - 1, "USD", "why")
"""
POLICY = """
from decimal import Decimal
from plugins.sdk import *

@hookimpl
def campaign_policies():
    return (CampaignPolicy("p", "P"),)

@hookimpl
def campaign_prices(campaign):
    return {answer}
"""


def made(name: str, folder: Path) -> Path:
    plugin_new(
        name,
        folder,
        platform_version="0.1.0",
        author="A test",
        contact="tests",
        licence="Apache-2.0",
    )
    return folder / name


@pytest.fixture
def judged(sandboxes: dict[str, Sandbox]) -> Judge:
    sandbox = sandboxes[strongest_of(sandboxes)]

    def judge(wheel: Path) -> Report:
        return conformance_check(wheel, sandbox=sandbox, platform_version="0.1.0")

    return judge


def test_the_kit_judges_for_the_platform_that_it_comes_with() -> None:
    assert code_version() == PLATFORM_VERSION


def test_what_new_makes_passes_and_its_report_is_kept(judged: Judge, tmp_path: Path) -> None:
    wheel = wheel_build(made("wordy", tmp_path), tmp_path)
    report = judged(wheel)
    assert report.failures == ()
    assert report.passed
    groups = {check.group for check in report.checks if check.verdict == "passed"}
    assert groups == {
        *("package", "signatures", "isolation", "time_limits", "billing"),
        *("cancellation", "resume", "errors"),
    }
    assert report.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert report_read(report_write(report)) == report
    with pytest.raises(ContractError, match=r"report: expected Report"):
        report_read("[]")


def test_a_partner_runs_it_with_two_wheels_and_nothing_of_the_platform(tmp_path: Path) -> None:
    """The SDK and the kit, in a folder of their own, judge the new package in its own tests."""
    site = tmp_path / "site"
    wheels = [wheel_build(source, tmp_path) for source in (ROOT / "plugins/sdk", ROOT / "plugins")]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, str(site), *map(str, wheels)], check=True, capture_output=True)
    project = made("wordy", tmp_path)
    report = tmp_path / "report.json"
    environment = os.environ | {"PYTHONPATH": str(site)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*pytest_, f"--rootdir={project}", f"--conformance-report={report}", "tests"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert report_read(report.read_text()).passed


@pytest.mark.parametrize(
    ("body", "group", "said"),
    [
        (
            "return StepResult(claims=(Claim('rows', Decimal(next(count))),))",
            "billing",
            "called twice, it gave different claims",
        ),
        ("time.sleep(0.5); return StepResult()", "cancellation", "never calls work.beat()"),
        (
            "work.beat(0.1); time.sleep(2); return StepResult()",
            "cancellation",
            "did not stop when asked to",
        ),
        (
            "work.snapshot({'n': 1}); return StepResult({'n': (work.state or {'n': 2})['n']})",
            "resume",
            "resumed from a snapshot, different figures",
        ),
        ("return StepResult(figures={'n': len(work.open(work.inputs[0]).read().decode()) // 3})",
         "errors", "UnicodeDecodeError"),
        ("return StepResult(files=('not-there',))", "signatures", "'not-there' was not created"),
        ("return StepResult(claims=(Claim('rows', Decimal(101)),))", "signatures", "at most 100"),
    ],
)  # fmt: skip
def test_a_fault_is_found(judged: Judge, tmp_path: Path, body: str, group: str, said: str) -> None:
    toml = manifest("faulty") + SAMPLE
    more = {"faulty/in.jsonl": "{}\n{}\n"}
    wheel = wheel_make(tmp_path, "faulty", f"{HEAD}    {body}\n", toml=toml, more=more)
    report = judged(wheel)
    assert not report.passed
    assert [check.group for check in report.failures] == [group], report.failures
    assert said in report.failures[0].message


@pytest.mark.parametrize(
    ("code", "toml", "said"),
    [
        ("from plugins.sdk import hookimpl\n@hookimpl\ndef pipeline(): ...", {}, "unknown hook"),
        ("", {}, "implements none"),
        ("import plugins.host.pool", {}, "imports plugins.host.pool"),
        ("from plugins.sdk.testing import work_make", {}, "plugins.sdk.testing.work_make"),
        ("", {"licence": '"Whatever you like"'}, "SPDX"),
        ("", {"least_platform": '"7"'}, "needs platform 7"),
        (f"{HEAD}    return StepResult()", {}, "no [[samples]] that calls it"),
        (f"{HEAD}    return StepResult()", {"permissions": "[]"}, "ask for it under permissions"),
        (GPU, {}, "'P' is not lower_case"),
        (ENGINE, {}, "has to write tune.json"),
        (PRICE, {}, "x is no meter of this plugin"),
        (POLICY.format(answer="campaign.own_prices[:1]"), {}, "p: 1 prices for 5 paths"),
        (POLICY.format(answer="tuple(-p for p in campaign.own_prices)"), {}, "a price below 0"),
        (POLICY.format(answer="(Decimal('NaN'),) * 5"), {}, "campaign_prices[0]: expected Decimal"),
        (
            POLICY.format(answer="(max(campaign.rival_prices), *campaign.own_prices[1:])"),
            {},
            "depends on other paths",
        ),
        (DISCOUNT, {"permissions": '["data.quotes"]'}, "off a quote of 0"),
    ],
)
def test_what_does_not_fit_is_named(
    judged: Judge, tmp_path: Path, code: str, toml: dict[str, str], said: str
) -> None:
    wheel = wheel_make(tmp_path, "unfit", code, toml=manifest("unfit", **toml))
    report = judged(wheel)
    assert not report.passed
    assert [check for check in report.failures if said in check.message], report.failures


def test_no_wheel_is_a_report_too(judged: Judge, tmp_path: Path) -> None:
    (tmp_path / "no.whl").write_bytes(b"not a zip")
    report = judged(tmp_path / "no.whl")
    assert not report.passed
    assert "no readable wheel" in report.failures[0].message


@pytest.mark.parametrize("name", ["Upper", "class", "json", "x"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError):
        made(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    made("wordy", tmp_path)
    with pytest.raises(HostError, match="there already"):
        made("wordy", tmp_path)
