"""The table of runs: which class supervises a kind of job."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from workers.jobs.states import Kind
from workers.tasks.runs.campaign import CampaignRun
from workers.tasks.runs.compress import CompressRun
from workers.tasks.runs.evaluate import EvaluateRun
from workers.tasks.runs.fine_tune import FineTuneRun
from workers.tasks.runs.pipeline import PipelineRun
from workers.tasks.runs.pure import ProcurementRun
from workers.tasks.runs.run import Context, Run
from workers.tasks.runs.serve import ServeRun

RUNS: Mapping[Kind, Callable[[Context], Run]] = {
    Kind.FINE_TUNE: FineTuneRun,
    Kind.EVALUATE: EvaluateRun,
    Kind.COMPRESS: CompressRun,
    Kind.SERVE: ServeRun,
    Kind.PIPELINE: PipelineRun,
    Kind.CAMPAIGN: CampaignRun,
    Kind.PROCURE: ProcurementRun,
}
