"""Starts the processes of a distributed run on this machine, and ends all when one ends badly.

This is `torchrun --standalone`, called from Python: its agent watches the processes.
https://docs.pytorch.org/docs/stable/elastic/run.html
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

MACHINE = "127.0.0.1"
KILLED = (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)
GRACE_S = 5  # between TERM and KILL for the others, once one has gone


class RankFailedError(Exception):
    """A process of the run ended before its time; all others were ended too."""


def launch(module: str, arguments: Sequence[str], processes: int) -> None:
    """Run `python -m module arguments` in so many processes until all have ended well.

    Call it in the main thread: processes may ask to die with it.

    Raises:
        RankFailedError: one of them ended badly; says which, and how.
    """
    # the only interface that both exist everywhere and reach nobody else
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        logs_specs=DefaultLogsSpecs(log_dir=tempfile.mkdtemp()),  # where last words are left
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{MACHINE}:0",
        local_addr=MACHINE,
        max_restarts=0,  # whoever wanted the run knows its last snapshot, and begins again there
        shutdown_timeout=GRACE_S,
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", module, *arguments)
    except ChildFailedError as error:
        rank, failure = min(error.failures.items(), key=_blame)
        raise RankFailedError(
            f"process {rank + 1} of {processes} {_how(failure)}; the others were ended"
        ) from error


def _blame(failed: tuple[int, ProcessFailure]) -> tuple[bool, int]:
    """Who was killed comes first: the others then failed for want of it; else who failed first."""
    _, failure = failed
    return failure.exitcode not in KILLED, failure.timestamp


def _how(failure: ProcessFailure) -> str:
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        likely = "; most likely memory ran out" if name == "SIGKILL" else ""
        return f"was ended by {name}{likely}"
    return f"ended with status {failure.exitcode} ({str(failure.message)[:1000]})"
