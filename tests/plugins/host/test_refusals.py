"""What is refused before a plugin's code sees a call, trusted or confined, and what is said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, discover
from plugins.host.environments import wheel_install
from plugins.host.errors import HostError
from plugins.host.facts import Enabled, Outcome
from plugins.host.orders import WorkOrder
from plugins.host.sandbox import Sandbox
from tests.plugins.conftest import SCHEMA, strongest_of
from tests.plugins.wheels import manifest, wheel_make

Mode = Literal["trusted", "isolated"]
MISSPELT = """
from plugins.sdk import hookimpl

@hookimpl
def prepare_datasets(work):
    raise SystemExit
"""
ON_IMPORT = """
import os, sys
os.write(int(sys.argv[1]), %s)
"""
WRONG_ARGUMENT = MISSPELT.replace("prepare_datasets(work)", "prepare_dataset(task)")


@pytest.fixture
def installed(reachable: Path) -> Iterator[Callable[[str, str, Mode], Plugin]]:
    sites: list[str] = []

    def make(name: str, code: str, mode: Mode) -> Plugin:
        folder = reachable / f"{name}-{mode}"
        folder.mkdir()
        wheel = wheel_make(folder, name, code, toml=manifest(name))
        wheel_install(wheel, folder / "site")
        if mode == "trusted":  # as an operator installs it: beside the platform
            sites.append(str(folder / "site"))
            sys.path.append(sites[-1])
        (plugin,) = discover(folder / "site", mode)
        assert isinstance(plugin, Plugin)
        return plugin

    yield make
    for site in sites:
        sys.path.remove(site)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("misspelt", MISSPELT, "unknown hook 'prepare_datasets'"),
        ("wrong_argument", WRONG_ARGUMENT, "'task'"),
        ("broken", "import not_there_at_all", "not_there_at_all"),
    ],
)
def test_a_plugin_that_does_not_fit_its_hooks_is_refused_with_the_reason(
    installed: Callable[[str, str, Mode], Plugin],
    sandboxes: dict[str, Sandbox],
    host_of: Callable[..., PluginHost],
    tmp_path: Path,
    name: str,
    code: str,
    said: str,
) -> None:
    sandbox = sandboxes[strongest_of(sandboxes)]
    trusted = host_of(sandbox, installed(name, code, "trusted"))
    assert [each.name for each in trusted.refused] == [name]
    assert said in trusted.refused[0].reason
    isolated = host_of(sandbox, installed(name, code, "isolated"))
    enabled = [Enabled(name, {}, frozenset({"data.datasets"}))]
    order = WorkOrder("call", tmp_path)
    assert trusted.call("prepare_dataset", {}, tenant="t", enabled=enabled, order=order) == ()
    (outcome,) = isolated.call("prepare_dataset", {}, tenant="t", enabled=enabled, order=order)
    assert outcome.failure is not None
    assert outcome.failure.kind == "unavailable"
    assert said in outcome.failure.message


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("floods_at_start", 'b"\\xff" * 8'),
        ("no_hooks_at_start", '(11).to_bytes(4, "big") + b\'{"hello":5}\''),
    ],
)
def test_what_it_sends_before_it_is_asked_is_its_own_failure(
    installed: Callable[[str, str, Mode], Plugin],
    sandboxes: dict[str, Sandbox],
    host_of: Callable[..., PluginHost],
    tmp_path: Path,
    name: str,
    written: str,
) -> None:
    plugin = installed(name, ON_IMPORT % written, "isolated")
    host = host_of(sandboxes[strongest_of(sandboxes)], plugin)
    enabled = [Enabled(name, {}, frozenset({"data.datasets"}))]
    order = WorkOrder("call", tmp_path)
    (outcome,) = host.call("prepare_dataset", {}, tenant="t", enabled=enabled, order=order)
    assert outcome.failure is not None
    assert outcome.failure.kind == "contract"
    assert "at its start" in outcome.failure.message


@pytest.fixture
def attempt(
    sandboxes: dict[str, Sandbox],
    hostile: Plugin,
    host_of: Callable[..., PluginHost],
    tmp_path: Path,
) -> Callable[[dict[str, object], frozenset[str]], Outcome]:
    host = host_of(sandboxes[strongest_of(sandboxes)], hostile)

    def run(settings: dict[str, object], granted: frozenset[str]) -> Outcome:
        (outcome,) = host.call(
            "prepare_dataset",
            {},
            tenant="t",
            enabled=[Enabled("hostile", settings, granted)],
            order=WorkOrder("call", tmp_path),
        )
        return outcome

    return run


def test_settings_that_are_missing_are_refused(
    attempt: Callable[[dict[str, object], frozenset[str]], Outcome],
) -> None:
    assert "required" in SCHEMA
    granted = frozenset({"data.datasets"})
    failure = attempt({}, granted).failure
    assert failure is not None
    assert (failure.kind, failure.message) == (
        "refused",
        "settings: 'act' is a required property",
    )
    assert attempt({"act": "good"}, granted).failure is None


def test_data_that_was_not_granted_is_not_given(
    attempt: Callable[[dict[str, object], frozenset[str]], Outcome],
) -> None:
    failure = attempt({"act": "good"}, frozenset({"data.models"})).failure
    assert failure is not None
    assert failure.message == "the tenant has not granted data.datasets"


def test_our_own_mistakes_are_exceptions(
    sandboxes: dict[str, Sandbox], hostile: Plugin, host_of: Callable[..., PluginHost]
) -> None:
    host = host_of(sandboxes["none"], hostile)
    with pytest.raises(HostError, match="there is no hook 'prepare'"):
        host.call("prepare", {}, tenant="t", enabled=[])
    with pytest.raises(HostError, match="prepare_dataset takes work; got rows"):
        host.call("prepare_dataset", {"rows": []}, tenant="t", enabled=[])
