"""`manage.py down`: stop the supervisor in order, then whatever a killed one has left behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout
from saas.runtime.lock import Lock, lock_holder
from saas.runtime.processes import Identity, end, identify, wait_gone
from saas.runtime.status import supervised

# what an orderly stop may take: workers drain, then relay, Redis and PostgreSQL one by one
ORDERLY_LIMIT_S = 90.0

Say = Callable[[str], None]


def stop(layout: Layout, say: Say) -> None:
    """Leave no process and no lock of this data folder. Raises RuntimeFailure where one remains."""
    if not layout.run.is_dir():
        say(f"nothing runs in {layout.var}")
        return
    began = time.monotonic()
    supervisor = _supervisor(layout)
    if supervisor is not None:
        say(f"stopping {layout.var}: running jobs are handed back")
        _stop_orderly(supervisor, say)
    left = end(supervised(layout), polite_s=10.0)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise RuntimeFailure(
            f"still alive after SIGKILL: {pids}; look at them with `ps -fp {pids}`"
        )
    _clear(layout)
    say(f"stopped after {time.monotonic() - began:.1f} s")


def _supervisor(layout: Layout) -> Identity | None:
    pid = lock_holder(layout.lock_file)
    return None if pid is None else identify(pid)


def _stop_orderly(supervisor: Identity, say: Say) -> None:
    supervisor.signal(signal.SIGTERM)
    supervisor.signal(signal.SIGCONT)
    if wait_gone([supervisor], limit_s=ORDERLY_LIMIT_S):
        say("the supervisor does not stop and is killed")
        supervisor.signal(signal.SIGKILL)
        wait_gone([supervisor], limit_s=5.0)


def _clear(layout: Layout) -> None:
    lock = Lock(layout.lock_file)
    if not lock.acquire():
        raise RuntimeFailure(
            f"process {lock_holder(layout.lock_file)} has just started on {layout.var} again"
        )
    layout.status_file.unlink(missing_ok=True)
    lock.release()
