"""One test per hostile act, at each level that this machine offers."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin
from plugins.host.facts import Enabled, Outcome
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from tests.plugins.conftest import LEVELS

Attack = Callable[..., Outcome]


@pytest.fixture(params=LEVELS)
def sandbox(request: pytest.FixtureRequest, sandboxes: dict[str, Sandbox]) -> Sandbox:
    sandbox = sandboxes[request.param]
    probed = sandbox.probe(request.param)
    if probed.reason:
        pytest.skip(f"{request.param}: {probed.reason}")
    return sandbox


@pytest.fixture
def attack(
    sandbox: Sandbox,
    hostile: Plugin,
    host_of: Callable[..., PluginHost],
    tmp_path: Path,
) -> Attack:
    host = host_of(sandbox, hostile)

    def run(act: str, *, tenant: str = "victim", timeout: float = 3.0, **more: Any) -> Outcome:
        results = tmp_path / f"results-{time.monotonic_ns()}"
        results.mkdir()
        order = more.pop("order", None) or WorkOrder("call-1", results, more.pop("inputs", {}))
        enabled = Enabled("hostile", {"act": act, **more}, frozenset({"data.datasets"}))
        (outcome,) = host.call(
            "prepare_dataset", {}, tenant=tenant, enabled=[enabled], order=order, timeout=timeout
        )
        return outcome

    return run


def enforces(sandbox: Sandbox, what: str) -> bool:
    assert sandbox.level is not None
    return what in sandbox.probe(sandbox.level).enforced


def kind(outcome: Outcome) -> str | None:
    return outcome.failure.kind if outcome.failure else None


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("raises", {"raised"}),
        ("hangs", {"timeout"}),
        ("spins", {"timeout"}),
        ("allocates", {"memory"}),
        ("floods", {"flood"}),
        ("nan", {"refused", "contract"}),
        ("nan_on_the_wire", {"contract"}),
        ("wrong_type", {"contract"}),
        ("wrong_field", {"contract"}),
        ("gigabyte", {"contract"}),
        ("long_answer", {"flood"}),
        ("exits", {"crashed"}),
        ("system_exit", {"raised"}),
        ("fills_disk", {"raised"}),
        ("links", {"contract"}),
        ("becomes_root", {"raised"}),
    ],
)
def test_a_fault_costs_the_plugin_only(attack: Attack, act: str, expected: set[str]) -> None:
    outcome = attack(act, timeout=1.0 if act in {"hangs", "spins"} else 3.0)
    assert kind(outcome) in expected, outcome
    assert outcome.value is None
    assert outcome.usage_keys == {}
    assert attack("good").value.notice == "good"


def test_time_is_measured_by_us(attack: Attack) -> None:
    assert attack("spins", timeout=1.5).cpu_s >= 0.1


@pytest.mark.parametrize(
    ("act", "guard"),
    [
        ("forks", "processes"),
        ("runs_programs", "processes"),
        ("passwd", "files"),
        ("kills_parent", "signals"),
        ("remounts", "processes"),
    ],
)
def test_an_act_is_stopped_or_reported_as_not_enforced(
    attack: Attack, sandbox: Sandbox, act: str, guard: str
) -> None:
    if not enforces(sandbox, guard):
        assert sandbox.level == "none"
        assert guard in sandbox.probe("none").not_enforced
        return
    assert kind(attack(act)) == "raised"


def test_no_socket_reaches_us(attack: Attack, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outcome = attack("sockets", port=listener.getsockname()[1])
    assert (kind(outcome) == "raised") == enforces(sandbox, "network")


def test_no_secret_is_in_its_environment(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a-secret-of-the-platform")
    seen = attack("environment").value.notice
    assert "a-secret-of-the-platform" not in seen
    assert "DATABASE" not in seen


def test_our_own_files_are_out_of_reach(attack: Attack, sandbox: Sandbox, reachable: Path) -> None:
    secret = reachable / "another-tenants-file"
    secret.write_text("theirs")
    outcome = attack("reads", path=str(secret))
    if enforces(sandbox, "files"):
        assert kind(outcome) == "raised"
    secret.chmod(0o600)
    if os.getuid() == 0:
        assert kind(attack("reads", path=str(secret))) == "raised"


def test_another_tenants_handle_opens_nothing(attack: Attack, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    assert attack("other_handle", handle="h1", inputs={"h1": theirs}).value.notice == "theirs"
    assert kind(attack("other_handle", handle="h1")) == "refused"
    assert kind(attack("other_handle", handle="h1", tenant="other")) == "refused"


def test_our_packages_are_not_there(attack: Attack) -> None:
    assert attack("our_packages").value.notice == ""


def test_patched_modules_stay_in_its_own_process(attack: Attack) -> None:
    attack("patches")
    assert attack("good", tenant="other").value.notice == "good"


def test_a_second_tenant_never_meets_a_child_of_the_first(attack: Attack) -> None:
    attack("remembers", tenant="one", note="a secret")
    assert attack("remembers", tenant="two", note="mine").value.notice == ""
    assert attack("remembers", tenant="one", note="later").value.notice == "a secret"


def test_sleeping_past_cancel_ends_it(attack: Attack, tmp_path: Path) -> None:
    cancel = threading.Event()
    order = WorkOrder("call-2", tmp_path, cancel=cancel, progress=lambda _: cancel.set())
    began = time.monotonic()
    outcome = attack("sleeps_past_cancel", order=order, timeout=30.0)
    assert kind(outcome) == "cancelled"
    assert time.monotonic() - began < 5.0


def test_no_process_is_left_behind(attack: Attack, pool: Pool) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    attack("forks", timeout=1.0)
    pool.close()
    left = [
        child.pid
        for child in psutil.process_iter(["cmdline"])
        if any("launch.py" in part for part in child.info["cmdline"] or ())
        and child.pid not in before
        and child.ppid() in {1, os.getpid()}
        and child.status() != psutil.STATUS_ZOMBIE
        and child.create_time() > psutil.Process().create_time()
    ]
    assert left == []


@pytest.mark.parametrize(
    ("meter", "quantity"),
    [("rows", "101"), ("rows", "-1"), ("rows", "0"), ("tokens.input", "1"), ("rows", "1e400")],
)
def test_a_lie_about_usage_bills_nothing(attack: Attack, meter: str, quantity: str) -> None:
    outcome = attack("lies", meter=meter, quantity=quantity)
    assert kind(outcome) == "contract", outcome
    assert outcome.usage_keys == {}


def test_a_claim_within_its_meter_is_keyed_by_its_call(attack: Attack) -> None:
    keys = [dict(attack("lies", meter="rows", quantity="7").usage_keys) for _ in range(2)]
    assert keys == [{"rows": "plugin:hostile:call-1:rows"}] * 2
