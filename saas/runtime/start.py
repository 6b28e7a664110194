"""`manage.py up`: a supervisor in the background, and the wait until everything answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import ROOT, Layout, code_changed
from saas.runtime.lock import lock_holder
from saas.runtime.logs import tail
from saas.runtime.ports import HOST
from saas.runtime.processes import MARK
from saas.runtime.secrets import env_read
from saas.runtime.services import web_answers
from saas.runtime.status import FAILED, RUNNING, Status, status_read
from saas.runtime.stop import Say, stop
from saas.runtime.stripe import CHOICE, OFF, stripe_choice

LIMIT_S = 300.0
MAX_CRASHES = 4
_SETTLED = {"running", "done"}


def start(layout: Layout, say: Say, *, port: int | None = None) -> Status:
    """Start what does not run yet, wait until all of it is healthy, and return its status.

    Raises RuntimeFailure with what is wrong and what to do.
    """
    layout.create()
    began = time.monotonic()
    stop_outdated(layout, say, port)
    if lock_holder(layout.lock_file) is None:
        say(f"starting in {layout.var}")
        supervisor = _spawn(layout, port)
    else:
        supervisor = None
        say(f"{layout.var} is already supervised: checking that all of it is healthy")
    status = _wait(layout, supervisor, say, began)
    say(f"running at http://{HOST}:{status.port} after {time.monotonic() - began:.1f} s")
    say(f"logs are in {layout.logs}")
    return status


def _spawn(layout: Layout, port: int | None) -> subprocess.Popen[bytes]:
    layout.status_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "saas.runtime.supervisor"]
    with layout.log("supervisor").open("ab") as log:
        return subprocess.Popen(
            command if port is None else [*command, "--port", str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "BREAKWATER_VAR": str(layout.var), MARK: str(layout.var)},
        )


def stop_outdated(layout: Layout, say: Say, port: int | None) -> None:
    """Stop what runs where it is not what is asked for; refuse to move it to another port."""
    status = status_read(layout.status_file)
    if status is None or lock_holder(layout.lock_file) is None:
        return
    if port not in {None, status.port}:
        raise RuntimeFailure(
            f"{layout.var} already runs on port {status.port}: stop it with `make down` first, or "
            "leave PORT out"
        )
    reason = _outdated(layout, status)
    if reason:
        say(f"{reason}: restarting")
        stop(layout, say)


def _outdated(layout: Layout, status: Status) -> str:
    """Why what runs is not what is asked for; empty where it is."""
    if status.code < code_changed():
        return "the code has changed since the start"
    asked = stripe_choice(os.environ)
    if asked and asked != env_read(layout.env_file).get(CHOICE, OFF):
        return f"Stripe is to be {asked}"
    return ""


def _wait(
    layout: Layout, supervisor: subprocess.Popen[bytes] | None, say: Say, began: float
) -> Status:
    told: set[str] = set()
    while time.monotonic() - began < LIMIT_S:
        ended = _ended(layout, supervisor)  # looked at before the status that it may still write
        status = status_read(layout.status_file)
        if status is not None:
            _tell(status, told, say, began)
            if status.state == FAILED and ended:
                raise RuntimeFailure(status.reason)
            _check_crashes(layout, status)
            if status.state == RUNNING and _all_settled(status) and web_answers(status.port):
                return status
        if ended:
            raise RuntimeFailure(f"the supervisor ended:\n{tail(layout.log('supervisor'))}")
        time.sleep(0.1)
    raise RuntimeFailure(_too_slow(layout))


def _all_settled(status: Status) -> bool:
    return all(each.state in _SETTLED for each in status.services.values())


def _check_crashes(layout: Layout, status: Status) -> None:
    for name, each in status.services.items():
        if each.crashes >= MAX_CRASHES:
            log = layout.log(name)
            raise RuntimeFailure(
                f"{name} ended {each.crashes} times in a row, see {log}:\n{tail(log)}"
            )


def _ended(layout: Layout, supervisor: subprocess.Popen[bytes] | None) -> bool:
    if supervisor is not None:
        return supervisor.poll() is not None
    return lock_holder(layout.lock_file) is None


def _tell(status: Status, told: set[str], say: Say, began: float) -> None:
    for name, each in status.services.items():
        if each.state in _SETTLED and name not in told:
            told.add(name)
            say(f"{time.monotonic() - began:5.1f} s  {name} {each.state}")


def _too_slow(layout: Layout) -> str:
    """Say which services are to blame, with the last lines of their logs."""
    status = status_read(layout.status_file)
    late = [n for n, s in (status.services if status else {}).items() if s.state not in _SETTLED]
    words = [f"not healthy after {LIMIT_S:.0f} s, still waiting for {', '.join(late) or 'the web'}"]
    words += [f"\n{layout.log(name)}:\n{tail(layout.log(name))}" for name in late or ["web"]]
    return "\n".join(words)
