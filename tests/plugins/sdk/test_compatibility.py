"""A plugin of an earlier minor version goes on working: its surface is there, and it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.host.sandbox import Sandbox
from plugins.kit.conformance import conformance_check
from plugins.sdk.hooks import hooks
from plugins.sdk.version import SDK_VERSION
from tests.plugins.conftest import strongest_of
from tests.plugins.sdk.surface import surface
from tests.plugins.wheels import manifest, wheel_make

HERE = Path(__file__).parent
MAJOR, MINOR, _ = map(int, SDK_VERSION.split("."))
EARLIER = [f"{MAJOR}.{minor}" for minor in range(MINOR)]
GRANTED = '["data.datasets", "data.quotes", "data.jobs", "data.usage"]'
SAMPLES = """
[[samples]]
hook = "run_step"
args = { pipeline = "p", step = "s" }
inputs = ["in.txt"]
[[samples]]
hook = "read_dataset"
args = { reader = "r" }
inputs = ["in.txt"]
[[samples]]
hook = "prepare_dataset"
"""


def kept(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "surfaces" / f"{version}.json").read_text())
    return found


def broken(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a plugin written against `then` could miss in `now`."""
    wrong = [f"{name} is gone" for name in {*then["names"]} - {*now["names"]}]
    wrong += [f"Work.{name} is gone" for name in {*then["work"]} - {*now["work"]}]
    for name, bases in then["errors"].items():
        if not {*bases} <= {*now["errors"].get(name, ())}:
            wrong.append(f"{name} is caught no longer as {bases}")
    for name, signature in then["hooks"].items():
        if now["hooks"].get(name) != signature:
            wrong.append(f"{signature} became {now['hooks'].get(name)}")
    for name, fields in then["contracts"].items():
        fresh = now["contracts"].get(name, [])
        if fresh[: len(fields)] != fields:
            wrong.append(f"{name}: {fields} became {fresh}")
        if any(required for _, _, required in fresh[len(fields) :]):
            wrong.append(f"{name} must be given more than it was")
    return wrong


@pytest.mark.parametrize("version", EARLIER)
def test_nothing_that_an_earlier_minor_promised_is_gone(version: str) -> None:
    assert broken(kept(version), surface()) == []


def test_the_surface_that_is_kept_for_this_version_is_what_there_is() -> None:
    """A change of the surface is a new version: it is written down once, and read in a review."""
    assert kept(f"{MAJOR}.{MINOR}") == surface() | {"version": f"{MAJOR}.{MINOR}.0"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda now: now["names"].remove("Panel"), "Panel is gone"),
        (lambda now: now["work"].remove("beat"), "Work.beat is gone"),
        (lambda now: now["hooks"].pop("meters"), "meters() -> tuple[Meter, ...] became None"),
        (lambda now: now["contracts"]["Step"].insert(1, ["x", "str", False]), "Step: "),
        (lambda now: now["contracts"]["Step"].append(["x", "str", True]), "Step must be given"),
        (lambda now: now["errors"]["Cancelled"].remove("PluginError"), "Cancelled is caught"),
    ],
)
def test_this_test_would_notice(change: Any, said: str) -> None:
    now = surface()
    change(now)
    (wrong,) = broken(kept("1.0"), now)
    assert wrong.startswith(said)


def test_a_plugin_of_1_0_runs_and_conforms(tmp_path: Path, sandboxes: dict[str, Sandbox]) -> None:
    code = (HERE / "plugin_1_0.py").read_text()
    methods = "".join(
        f'[[samples]]\nhook = "run_method"\nargs = {{ kind = "{kind}", method = "{kind[0]}" }}\n'
        for kind in ("training", "compression", "evaluation")
    )
    toml = manifest("older", permissions=GRANTED) + SAMPLES + methods
    more = {"older/in.txt": "text"}
    needs = ("breakwater-plugin-sdk>=1.0,<2",)
    wheel = wheel_make(tmp_path, "older", code, toml=toml, more=more, requires=needs)
    sandbox = sandboxes[strongest_of(sandboxes)]
    report = conformance_check(wheel, sandbox=sandbox, platform_version="0.1.0")
    assert report.passed, report.failures
    (said,) = [check.message for check in report.checks if check.subject == "hooks"]
    assert {*said.split(", ")} >= {*kept("1.0")["hooks"]}
    assert {*kept("1.0")["hooks"]} <= {*hooks()}
