"""One test per hostile act: every day at the strongest level that holds here, else at each."""

from __future__ import annotations

import os
import signal
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
from plugins.host.child.probe import ACTS
from plugins.host.errors import SandboxUnavailable
from plugins.host.facts import Enabled, Level, Outcome
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.sandbox import REQUIRED, Sandbox
from tests.architecture.sources import ROOT
from tests.plugins.conftest import LEVELS, LIMITS, probed_at

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
Attack = Callable[..., Outcome]


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
        ("no_error_on_the_wire", {"contract"}),
        ("huge_number", {"contract"}),
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
    """The kernel's count seen from outside is the child's own, by another system call."""
    outcome = attack("works", cpu_s=0.5, timeout=60.0)
    told = outcome.value.figures
    assert told["used"] >= 0.5
    assert outcome.cpu_s >= told["used"] - 3 * TICK_S  # two fields, each rounded down
    assert outcome.cpu_s <= told["since_start"] + 0.05  # the answer's own way out
    assert outcome.wall_s >= told["used"]


def test_time_is_counted_though_the_process_ended(attack: Attack) -> None:
    outcome = attack("works", cpu_s=0.5, exits=True, timeout=60.0)
    assert kind(outcome) == "crashed"
    assert outcome.cpu_s >= 0.5 - 3 * TICK_S


@pytest.mark.parametrize(
    ("act", "guard", "unguarded"),
    [
        ("forks", "processes", None),
        ("runs_programs", "processes", "timeout"),
        ("passwd", "files", None),
        ("signals_parent", "signals", None),
    ],
)
def test_an_act_is_stopped_exactly_where_the_probe_says_so(
    attack: Attack, sandbox: Sandbox, act: str, guard: str, unguarded: str | None
) -> None:
    outcome = attack(act, signal=0, timeout=1.0)  # signal 0: the permission, without the harm
    assert kind(outcome) == ("raised" if enforces(sandbox, guard) else unguarded), outcome


def test_its_parent_outlives_it(attack: Attack, sandbox: Sandbox) -> None:
    if enforces(sandbox, "signals"):
        assert kind(attack("signals_parent", signal=signal.SIGKILL)) == "raised"
    else:  # it could: so it is let in only by an operator who accepts that
        assert sandbox.level == "none"
        assert refused_at("none", sandbox)


def test_no_name_space_of_its_own_gives_it_rights(attack: Attack, sandbox: Sandbox) -> None:
    if enforces(sandbox, "processes"):
        assert kind(attack("remounts")) == "raised"
    else:
        assert refused_at("none", sandbox)


def refused_at(level: Level, like: Sandbox) -> bool:
    """Whether partners' plugins are refused at a level unless the operator accepts the risk."""
    strict = Sandbox(like.folder, level=level, limits=LIMITS, made=like.runtime)
    with pytest.raises(SandboxUnavailable, match=f"{level}: "):
        strict.chosen()
    return True


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_level_does_not_stop_is_reported_as_not_enforced(
    level: Level, sandboxes: dict[str, Sandbox]
) -> None:
    """Every act that is probed is on one of the two lists; and the docs tell of the level."""
    probed = probed_at(sandboxes, level)
    assert probed.enforced | probed.not_enforced == set(ACTS)
    assert not probed.enforced & probed.not_enforced
    if level == "none":
        assert probed.not_enforced >= REQUIRED
    else:
        assert probed.not_enforced.isdisjoint(REQUIRED)
    assert f"| `{level}` |" in (ROOT / "docs" / "plugins.md").read_text()


@pytest.mark.parametrize("level", LEVELS)
def test_a_partners_plugin_runs_only_where_the_level_holds(
    level: Level,
    sandboxes: dict[str, Sandbox],
    hostile: Plugin,
    host_of: Callable[..., PluginHost],
    tmp_path: Path,
) -> None:
    one = sandboxes[level]
    strict = Sandbox(one.folder, level=level, limits=LIMITS, made=one.runtime)
    enabled = Enabled("hostile", {"act": "good"}, frozenset({"data.datasets"}))
    (outcome,) = host_of(strict, hostile).call(
        "prepare_dataset", {}, tenant="t", enabled=[enabled], order=WorkOrder("c", tmp_path)
    )
    probed = strict.probe(level)
    assert probed.holds == (not probed.reason and probed.enforced >= REQUIRED)
    if probed.holds:
        assert (outcome.value.notice, outcome.level) == ("good", level)
    else:
        assert kind(outcome) == "unavailable"
        assert "no level of isolation holds here" in outcome.failure.message


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
    secret.chmod(0o644)  # open to all: what is left is the sandbox
    outcome = attack("reads", path=str(secret))
    assert (kind(outcome) == "raised") == enforces(sandbox, "files")
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


def test_a_call_that_hangs_keeps_no_other_tenant_waiting(attack: Attack) -> None:
    ended: list[Outcome] = []
    hangs = threading.Thread(target=lambda: ended.append(attack("hangs", timeout=8.0)))
    hangs.start()
    other = attack("good", tenant="other")
    assert (other.value.notice, ended) == ("good", [])
    hangs.join()
    assert kind(ended[0]) == "timeout"


def test_sleeping_past_cancel_ends_it(attack: Attack, tmp_path: Path) -> None:
    cancel = threading.Event()
    order = WorkOrder("call-2", tmp_path, cancel=cancel, progress=lambda _: cancel.set())
    began = time.monotonic()
    outcome = attack("sleeps_past_cancel", order=order, timeout=30.0)
    assert kind(outcome) == "cancelled"
    assert time.monotonic() - began < 5.0


def test_no_process_is_left_behind(
    attack: Attack, sandbox: Sandbox, pool: Pool, tmp_path: Path
) -> None:
    before = set(psutil.Process().children(recursive=True))
    seen: set[psutil.Process] = set()

    def look(_: float) -> None:
        seen.update(set(psutil.Process().children(recursive=True)) - before)

    attack("forks_and_tells", order=WorkOrder("call-3", tmp_path, progress=look))
    assert len(seen) >= (1 if enforces(sandbox, "processes") else 4)  # with its three forks
    pool.close()
    _, left = psutil.wait_procs(seen, timeout=10.0)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


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
