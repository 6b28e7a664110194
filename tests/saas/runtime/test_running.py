"""When a service that has ended may start again, and what its status says."""

from __future__ import annotations

import signal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from saas.runtime.processes import Identity
from saas.runtime.running import MAX_BACK_OFF_S, Running, back_off_s
from saas.runtime.services import Service
from saas.runtime.status import RUNNING, ServiceStatus, Status, status_read


@given(crashes=st.integers(min_value=1, max_value=500))
def test_waits_longer_after_each_crash_up_to_a_bound(crashes: int) -> None:
    now, later = back_off_s(crashes, killed=False), back_off_s(crashes + 1, killed=False)
    assert 0 < now <= later <= MAX_BACK_OFF_S
    assert later in {2 * now, MAX_BACK_OFF_S}


@given(crashes=st.integers(min_value=1, max_value=500))
def test_what_somebody_else_killed_starts_again_at_once(crashes: int) -> None:
    assert back_off_s(crashes, killed=True) <= 0.2


def test_a_preparation_that_ends_well_is_done() -> None:
    each = Running(Service("migrations", ["true"], 0, once=True))
    each.ended(0)
    assert each.state == "done"
    assert each.was_ready


def test_crashes_in_a_row_are_counted_until_a_long_life() -> None:
    each = Running(Service("web", ["false"], 0))
    for number in (1, 2, 3):
        each.since = float("inf")  # has just begun
        each.ended(-signal.SIGSEGV)
        assert (each.crashes, each.restarts) == (number, number)
    each.since = float("-inf")  # has lived for ever
    each.ended(1)
    assert (each.crashes, each.restarts) == (1, 4)


def test_a_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    services = {
        "web": ServiceStatus("running", 12, 345, restarts=2),
        "relay": ServiceStatus("waiting"),
    }
    status = Status(Identity(1, 2), RUNNING, port=8000, code=3.5, services=services)
    status.write(tmp_path / "status.json")
    assert status_read(tmp_path / "status.json") == status
    assert status.identities == [Identity(12, 345)]


def test_a_status_that_a_power_cut_emptied_is_none(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("")
    assert status_read(tmp_path / "status.json") is None
