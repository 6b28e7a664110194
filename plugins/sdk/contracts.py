"""The typed data that hooks take and return: frozen, and plain enough to travel as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

JsonScalar = str | int | float | bool | None
Scalars = dict[str, JsonScalar]


@dataclass(frozen=True)
class Handle:
    """A file that the platform opened for this call; `id` means nothing outside it."""

    id: str
    name: str
    size: int  # bytes


@dataclass(frozen=True)
class Step:
    """One step of a pipeline. `queue` says what it runs on.

    With `engine` the platform does the step, as a job of its own under the pipeline's hold. What it
    is to do is a file of the step before, `<step's name>.json`: the body of that job's request,
    where a data file may be named by a file of that step. The next step finds what came of it in
    `<step's name>.result.json`.
    """

    name: str
    kind: Literal["prepare", "train", "compress", "evaluate", "predict"]
    queue: Literal["cpu", "gpu"] = "cpu"
    time_limit_s: float = 600.0
    engine: Literal["", "fine_tune", "evaluate"] = ""


@dataclass(frozen=True)
class Pipeline:
    """Named steps, run in order as one job."""

    name: str
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class DatasetReader:
    """A file format that the plugin turns into JSON lines."""

    name: str
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """A training method, compression method or evaluation, as one whole step over files."""

    name: str
    title: str
    queue: Literal["cpu", "gpu"] = "cpu"


@dataclass(frozen=True)
class CampaignPolicy:
    """A pricing policy that a simulated campaign may follow."""

    name: str
    title: str


@dataclass(frozen=True)
class CampaignStep:
    """All paths of a campaign at one step; the tuples have one entry a path, in one currency."""

    step: int
    own_prices: tuple[Decimal, ...]
    rival_prices: tuple[Decimal, ...]
    unit_costs: tuple[Decimal, ...]


@dataclass(frozen=True)
class Service:
    """A value-added service of the catalogue; `price` is None where it is quoted on request."""

    name: str
    title: str
    description: str
    billing: Literal["once", "monthly", "hourly"]
    price: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Meter:
    """What the plugin counts; its full name is `plugin.<plugin>.<name>`."""

    name: str
    unit: str
    title: str
    most_per_call: Decimal  # a claim above it is refused


@dataclass(frozen=True)
class Price:
    """What the plugin asks for one unit of one of its meters; the floor guard has the last word."""

    meter: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class Quote:
    """A price before it is promised."""

    job_kind: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class QuoteAdjustment:
    """A discount (below 0) or surcharge; `reason` is shown to the customer."""

    amount: Decimal
    currency: str
    reason: str


@dataclass(frozen=True)
class JobFinished:
    """A job of this tenant ended."""

    job_id: str
    kind: str
    state: Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class UsageRecorded:
    """A usage event of this tenant."""

    key: str  # the same event may be told twice, always under the same key
    meter: str
    quantity: Decimal


@dataclass(frozen=True)
class MeterTotal:
    """A meter's use in a period."""

    meter: str
    unit: str
    quantity: Decimal


@dataclass(frozen=True)
class Page:
    """What a panel may draw on: this tenant's month so far."""

    month: str  # 2027-01
    usage: tuple[MeterTotal, ...] = ()


@dataclass(frozen=True)
class Panel:
    """A table in the web admin. Text only: our components render it."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Claim:
    """Usage that the plugin says it made; the host keys, checks and bounds it."""

    meter: str
    quantity: Decimal


@dataclass(frozen=True)
class StepResult:
    """What a step made: figures, files created in its folder, and claimed usage."""

    figures: Scalars = field(default_factory=dict)
    files: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    notice: str = ""  # shown with the result: what it must not be used for
