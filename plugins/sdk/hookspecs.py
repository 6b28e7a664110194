"""Every point where the platform calls a plugin. A hook may take fewer arguments than its spec.

Hooks that declare (`pipelines`, `services`, …) return data; hooks that act are called by the
declared names, so that both can run in another process.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from plugins.sdk.contracts import (
    CampaignPolicy,
    CampaignStep,
    DatasetReader,
    JobFinished,
    Meter,
    Method,
    Page,
    Panel,
    Pipeline,
    Price,
    Quote,
    QuoteAdjustment,
    Service,
    StepResult,
    UsageRecorded,
)
from plugins.sdk.markers import hookspec
from plugins.sdk.work import Work


@hookspec
def pipelines() -> tuple[Pipeline, ...]:  # type: ignore[empty-body]
    """Declare the pipelines that this plugin runs."""


@hookspec
def run_step(pipeline: str, step: str, work: Work) -> StepResult:  # type: ignore[empty-body]
    """Run one step of a pipeline.

    :param pipeline: the name of a pipeline that `pipelines()` declared.
    :param step: the name of one of its steps.
    :param work: settings, input files, progress, snapshots.
    """


@hookspec
def dataset_readers() -> tuple[DatasetReader, ...]:  # type: ignore[empty-body]
    """Declare file formats that this plugin turns into JSON lines."""


@hookspec
def read_dataset(reader: str, work: Work) -> StepResult:  # type: ignore[empty-body]
    """Turn a foreign file into JSON lines.

    :param reader: the name of a reader that `dataset_readers()` declared.
    :param work: its one input is the file; the lines go to a file of the result.
    """


@hookspec
def prepare_dataset(work: Work) -> StepResult:  # type: ignore[empty-body]
    """Clean, label or redact a dataset before it is trained on.

    :param work: its one input is JSON lines; the result's one file is JSON lines too.
    """


@hookspec
def training_methods() -> tuple[Method, ...]:  # type: ignore[empty-body]
    """Declare training methods."""


@hookspec
def compression_methods() -> tuple[Method, ...]:  # type: ignore[empty-body]
    """Declare compression methods."""


@hookspec
def evaluations() -> tuple[Method, ...]:  # type: ignore[empty-body]
    """Declare evaluation suites."""


@hookspec
def run_method(  # type: ignore[empty-body]
    kind: Literal["training", "compression", "evaluation"], method: str, work: Work
) -> StepResult:
    """Run a declared method as one whole step over files.

    :param kind: which of the three lists declared it.
    :param method: its name there.
    :param work: settings, input files, progress, snapshots.
    """


@hookspec
def campaign_policies() -> tuple[CampaignPolicy, ...]:  # type: ignore[empty-body]
    """Declare pricing policies for simulated campaigns."""


@hookspec
def campaign_prices(  # type: ignore[empty-body]
    policy: str, campaign: CampaignStep
) -> tuple[Decimal, ...]:
    """Set our next price on every path at once.

    :param policy: the name of a policy that `campaign_policies()` declared.
    :param campaign: prices and costs, one entry a path; as many prices are returned, each of its
        own path alone.
    """


@hookspec
def services() -> tuple[Service, ...]:  # type: ignore[empty-body]
    """Declare services for the catalogue."""


@hookspec
def meters() -> tuple[Meter, ...]:  # type: ignore[empty-body]
    """Declare what this plugin counts."""


@hookspec
def prices() -> tuple[Price, ...]:  # type: ignore[empty-body]
    """Ask a price for the plugin's own meters."""


@hookspec
def quote_adjustment(quote: Quote) -> QuoteAdjustment | None:
    """Change a quote, with a reason that the customer reads; None leaves it.

    :param quote: the price as it stands.
    """


@hookspec
def job_finished(job: JobFinished) -> None:
    """React to the end of a job.

    :param job: which job, and how it ended.
    """


@hookspec
def usage_recorded(usage: UsageRecorded) -> None:
    """React to a usage event; the same one may come twice, under the same key.

    :param usage: the event.
    """


@hookspec
def console_panels(page: Page) -> tuple[Panel, ...]:  # type: ignore[empty-body]
    """Add tables to the tenant's web admin.

    :param page: what the panels may draw on.
    """
