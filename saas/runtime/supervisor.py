"""One foreground process that starts the services, restarts what dies, and stops them in order.

    python -m saas.runtime.supervisor [--port PORT] [--only NAME[,NAME]]

Single-threaded; signals are fetched, never delivered into the middle of something. Orphans of a
dead service come to the supervisor (a subreaper) and are killed: a crash leaves nobody behind.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import ROOT, Layout, code_changed
from saas.runtime.lock import Lock, lock_holder
from saas.runtime.logs import tail
from saas.runtime.prepare import prepare
from saas.runtime.processes import MARK, Identity, children_of, end, identify
from saas.runtime.running import BACKING_OFF, STARTING, WAITING, Running
from saas.runtime.services import Service
from saas.runtime.status import FAILED, RUNNING, STOPPING, Status, supervised
from saas.runtime.status import STARTING as STARTING_UP

_PR_SET_CHILD_SUBREAPER = 36
_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_FETCHED = {*_STOP, signal.SIGCHLD}


@dataclass
class Supervisor:
    """Raises RuntimeFailure from `run` where a preparation fails."""

    layout: Layout
    services: Sequence[Service]
    env: Mapping[str, str]
    port: int = 0
    code: float = field(default_factory=code_changed)
    running: dict[str, Running] = field(init=False)
    _written: Status | None = None

    def __post_init__(self) -> None:
        self.running = {service.name: Running(service) for service in self.services}

    def run(self) -> None:
        """Keep everything going until told to stop."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, _FETCHED)
        try:
            while not self._told_to_stop():
                self._reap()
                self._start_due()
                self._check_ready()
                self._publish()
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop all, the users of a store before the store."""
        self._publish(STOPPING)
        for order in sorted({service.stop_order for service in self.services}):
            group = [each for each in self.running.values() if each.service.stop_order == order]
            self._stop_group(group)
        self._kill_orphans()

    def _told_to_stop(self) -> bool:
        """Sleep until a signal comes or something is due."""
        busy = any(each.state in {WAITING, STARTING, BACKING_OFF} for each in self.running.values())
        info = signal.sigtimedwait(_FETCHED, 0.1 if busy else 2.0)
        return info is not None and info.si_signo in _STOP

    def _start_due(self) -> None:
        for each in self.running.values():
            waits = each.state == WAITING and self._stage_open(each.service.stage)
            again = each.state == BACKING_OFF and time.monotonic() >= each.due
            if waits or again:
                self._spawn(each)

    def _spawn(self, each: Running) -> None:
        try:
            each.spawn(env=self.env, log=self.layout.log(each.service.name))
        except OSError as error:  # no process or no file to be had just now
            _say(f"{each.service.name} cannot start: {error}")
            each.ended(os.EX_OSERR)

    def _stage_open(self, stage: int) -> bool:
        return all(e.was_ready for e in self.running.values() if e.service.stage < stage)

    def _check_ready(self) -> None:
        for each in self.running.values():
            if each.state == STARTING and not each.service.once:
                each.look()

    def _reap(self) -> None:
        """Take note of every child that has ended, orphans of ours included."""
        crashed = False
        while True:
            try:
                pid, how = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            each = self._by_pid(pid)
            if each is not None:
                self._ended(each, os.waitstatus_to_exitcode(how))
                crashed = True
        if crashed:
            self._kill_orphans()

    def _ended(self, each: Running, exit_code: int) -> None:
        each.ended(exit_code)
        name = each.service.name
        if each.service.once and exit_code != 0:
            log = self.layout.log(name)
            raise RuntimeFailure(f"{name} failed ({exit_code}), see {log}:\n{tail(log)}")
        if not each.service.once:
            _say(f"{name} ended ({exit_code}), restart {each.restarts} follows")

    def _by_pid(self, pid: int) -> Running | None:
        found = (e for e in self.running.values() if e.identity and e.identity.pid == pid)
        return next(found, None)

    def _kill_orphans(self) -> None:
        known = {each.identity.pid for each in self.running.values() if each.identity}
        for orphan in children_of(os.getpid()):
            if orphan.pid not in known:
                orphan.signal(signal.SIGKILL)

    def _stop_group(self, group: Sequence[Running]) -> None:
        alive = {each.service.name: each for each in group if each.identity is not None}
        for each in alive.values():
            _signal(each.identity, each.service.stop_signal)
            _signal(each.identity, signal.SIGCONT)
        began = time.monotonic()
        while alive:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            self._collect(alive)
            for each in alive.values():
                if time.monotonic() - began > each.service.stop_limit_s:
                    _say(f"{each.service.name} did not stop in time and is killed")
                    _signal(each.identity, signal.SIGKILL)
        self._kill_orphans()

    def _collect(self, alive: dict[str, Running]) -> None:
        for name, each in list(alive.items()):
            if each.identity is None or os.waitpid(each.identity.pid, os.WNOHANG)[0]:
                each.identity, each.state = None, "stopped"
                del alive[name]

    def _publish(self, state: str | None = None) -> None:
        """Write the status where it has changed."""
        started = all(each.was_ready for each in self.running.values())
        now = Status(
            supervisor=_myself(),
            state=state or (RUNNING if started else STARTING_UP),
            port=self.port,
            code=self.code,
            services={name: each.status for name, each in self.running.items()},
        )
        if now != self._written:
            try:
                now.write(self.layout.status_file)
            except OSError as error:  # a full disk must not stop what still runs
                _say(f"the status cannot be written: {error}")
                return
            self._written = now


def supervise(layout: Layout, *, port: int | None, only: Sequence[str]) -> int:
    """Run the data folder's services in the foreground; return the exit code."""
    layout.create()
    os.chdir(ROOT)
    lock = Lock(layout.lock_file)
    if not lock.acquire():
        _say(f"process {lock_holder(layout.lock_file)} already supervises {layout.var}")
        return 1
    try:
        # what a supervisor killed earlier has left must be gone before its stores start again
        end(supervised(layout), polite_s=10.0)
        prepared = prepare(layout, port=port)
        chosen = [each for each in prepared.services if not only or each.name in only]
        Supervisor(layout, chosen, _environment(layout), prepared.port).run()
        layout.status_file.unlink(missing_ok=True)
    except RuntimeFailure as failure:
        _say(str(failure))
        Status(_myself(), FAILED, reason=str(failure)).write(layout.status_file)
        return 1
    finally:
        lock.release()
    return 0


def _environment(layout: Layout) -> dict[str, str]:
    """What services inherit: ours, the data folder, and the mark by which `down` knows them."""
    return {
        **os.environ,
        "BREAKWATER_VAR": str(layout.var),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        MARK: str(layout.var),
    }


def _myself() -> Identity:
    me = identify(os.getpid())
    assert me is not None  # noqa: S101 - we run
    return me


def _signal(identity: Identity | None, number: int) -> None:
    if identity is not None:
        identity.signal(number)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%F %T')} {text}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--port", type=int, help="of the web process; kept from the last start")
    parser.add_argument("--only", default="", help="names of services, comma-separated")
    arguments = parser.parse_args()
    only = [name for name in arguments.only.split(",") if name]
    sys.exit(supervise(Layout.current(), port=arguments.port, only=only))


if __name__ == "__main__":
    main()
