"""The entrance: one compression, with fixed settings or as a search for them."""

from __future__ import annotations

import shutil

from workers.engine import devices
from workers.engine.compression.bench import Bench, Stopped
from workers.engine.compression.run import Compression
from workers.engine.compression.search import Search
from workers.engine.errors import EngineError
from workers.engine.protocol import CompressWork, FailureKind, Outcome, Progress, Result


def compress(work: CompressWork, progress: Progress) -> Result:
    """Make a model smaller as the spec says; the artifact is a Hugging Face folder.

    An error of the engine's own ends it as a failed result with its kind; any other exception,
    those of `progress` included, is raised.
    """
    devices.settle(work.numerics)
    try:
        bench = Bench(work, progress)
        folder = work.scratch / "artifact"
        if work.spec.target is not None:
            return Search(bench, work.spec.target, folder).run()
        return Compression(bench, work.spec, folder).run()
    except Stopped as stop:
        return Result(work.key, stop.outcome)
    except EngineError as error:
        kind = FailureKind.CUSTOMER if error.customers else FailureKind.PLATFORM
        progress.event(work.key, "error", str(error), {"code": error.code, "kind": kind.value})
        return Result(work.key, Outcome.FAILED, failure=kind, error=str(error))
    finally:
        shutil.rmtree(work.scratch / "data", ignore_errors=True)
