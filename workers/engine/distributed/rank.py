"""One process of a run that several share: `train` in here is the same as in a run of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record

from workers.engine.distributed.chorus import Chorus
from workers.engine.distributed.sharded import Sharded, process_group
from workers.engine.progress import Silent
from workers.engine.protocol import Progress, Result, Work
from workers.engine.training.loop import train


def train_here(work: Work, open_progress: Callable[[], Progress]) -> Result | None:
    """Train the one member of `work` with the other processes of `launch`, once in a process.

    Only the first process opens a `Progress`, and only there a result comes.
    """
    return record(_train)(work, open_progress)


def _train(work: Work, open_progress: Callable[[], Progress]) -> Result | None:
    with process_group(work.numerics.device) as device:
        return train_among(Sharded(device), work, device, open_progress)


def train_among(
    ranks: Sharded, work: Work, device: str, open_progress: Callable[[], Progress]
) -> Result | None:
    """Train the one member of `work` on this process's `device`, while the others do too."""
    own = replace(work.numerics, device=device, processes=ranks.count)
    here = replace(work, numerics=own, scratch=_folder(work.scratch, ranks))
    progress = Chorus(ranks, open_progress() if ranks.is_first else Silent())
    (result,) = train(here, progress, ranks)
    dist.barrier()
    return result if ranks.is_first else None


def _folder(scratch: Path, ranks: Sharded) -> Path:
    """A folder of each process's own; the first one's holds what comes of the run."""
    folder = scratch if ranks.is_first else scratch / f"process-{ranks.number}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
