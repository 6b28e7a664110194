"""Starting, watching and ending a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

import workers
from workers.tasks.channel import channel_pair
from workers.tasks.child import NO_NETWORK

ROOT = Path(workers.__file__).resolve().parents[1]
LOG_TAIL = 64  # chunks of at most 1 KiB that are kept of what the child prints
GRACE_S = 10.0  # between TERM and KILL

# Memory that tensors gave back stays with the process: otherwise each forward pass asks the kernel
# for the same pages again, which costs several per cent of a training step on a CPU.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


class Child:
    """A running child with the channel to it. It dies with the thread that made it."""

    def __init__(self, entry: str, scratch: Path, *, network: str = NO_NETWORK) -> None:
        """Start `entry` in `scratch`: own session, clean environment, no network but to serve."""
        self.channel, theirs = channel_pair()
        self._tail: deque[bytes] = deque(maxlen=LOG_TAIL)
        with theirs:
            arguments = [entry, str(theirs.fileno()), str(os.getpid()), network]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workers.tasks.child", *arguments],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(scratch),
                cwd=scratch,
                umask=0o077,
            )
        output = self._process.stdout
        assert output is not None  # noqa: S101 -- a pipe was asked for; for the type checker
        self._reader = threading.Thread(target=self._keep_tail, args=(output,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; negative: the signal that ended it. None while it runs."""
        return self._process.returncode

    @property
    def log_tail(self) -> str:
        """The end of what the child printed."""
        return b"".join(self._tail).decode(errors="replace")

    def end(self, *, grace_s: float = GRACE_S) -> int:
        """TERM, wait, KILL; return the exit status (negative: the signal that ended it)."""
        if self._process.poll() is None and grace_s > 0:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self._signal(signal.SIGKILL)  # the whole group: whatever it started goes too
        status = self._process.wait()
        self._reader.join(timeout=5)
        self.channel.close()
        return status

    def kill(self) -> None:
        """End it at once; safe to call from another thread than the one that waits."""
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)

    def wait(self, timeout: float) -> int | None:
        """Return the exit status, None if it still runs after `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)  # its session's group, named after it

    def _keep_tail(self, output: IO[bytes]) -> None:
        with output:
            while piece := output.read1(1024):  # type: ignore[attr-defined]
                self._tail.append(piece)


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of ours: no secrets, no database, no broker; one thread; nothing is fetched."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    cuda = {k: v for k, v in os.environ.items() if k.startswith(("CUDA_", "NVIDIA_"))}
    return {
        **kept,
        **cuda,
        **ALLOCATOR,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
