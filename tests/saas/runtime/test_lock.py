"""The lock of a data folder: held by one, dropped by death, its file gone with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from saas.runtime.lock import Lock, lock_holder

HOLD = """
import signal, sys
from pathlib import Path
from saas.runtime.lock import Lock
assert Lock(Path(sys.argv[1])).acquire() or sys.exit("taken")
print("held", flush=True)
signal.pause()
"""


def test_only_one_holds_it_and_its_file_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = Lock(path), Lock(path)

    assert first.acquire()
    assert not second.acquire()
    assert lock_holder(path) == os.getpid()

    first.release()
    assert not path.exists()
    assert lock_holder(path) is None
    assert second.acquire()
    second.release()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock_holder(path) == holder.pid
        assert not Lock(path).acquire()

        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)

    assert path.exists()
    assert lock_holder(path) is None
    lock = Lock(path)
    assert lock.acquire()
    lock.release()


def test_a_file_replaced_between_open_and_lock_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    # given a lock whose file somebody removed and made anew, and locked
    path = tmp_path / "lock"
    first = Lock(path)
    assert first.acquire()
    path.unlink()
    second = Lock(path)
    assert second.acquire()

    # then the one who finds the path finds the new one's lock
    assert not Lock(path).acquire()
    second.release()
    first.release()
