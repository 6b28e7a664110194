"""What the finders look at: plain facts of one stretch of time, from telemetry and from the books.

Times are seconds from the start of the stretch, which lasts `Facts.seconds`. What telemetry did not
tell is None, or is left out and counted as unknown; a finder never takes it for zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.float64]
MONTH_S = 30 * 86400.0
ZERO = Decimal(0)


@dataclass(frozen=True)
class Spot:
    """Capacity that may be taken away: its price, how often it is, and what a new start takes."""

    price: Decimal  # of a slot-second
    interruptions_per_hour: float
    restart_s: float


@dataclass(frozen=True)
class Price:
    """A slot-second of a resource; `avoidable` is the share of it that not using it saves."""

    amount: Decimal
    avoidable: Decimal = Decimal(1)
    spot: Spot | None = None

    @property
    def saved(self) -> Decimal:
        return self.amount * self.avoidable


@dataclass(frozen=True)
class Level:
    """For `seconds`, `need` slots (or replicas) were at work or asked for."""

    need: float
    seconds: float


@dataclass(frozen=True)
class Deployment:
    """`uses` are the stretches with requests, in order and apart. `rent` is what its tenant pays
    for an hour awake.
    """

    id: str
    tenant_id: str
    model: str
    sleep_after_s: float
    uses: tuple[tuple[float, float], ...]
    rent: Decimal = ZERO

    @cached_property
    def spans(self) -> Spans:
        """`uses` as an array [n, 2]."""
        return np.asarray(self.uses, dtype=np.float64).reshape(-1, 2)


@dataclass(frozen=True)
class Compressed:
    """A smaller model that was measured: `time` of the dense one's, at a cost of making it."""

    time: float
    making: Decimal


@dataclass(frozen=True)
class Target:
    """What replicas load, and the deployments that keep the first of them awake.

    `levels` tell how many replicas the tokens needed, and `holding` how many there were while it
    was awake; `limit` is the most that its deployments allow. `compressed` holds its measured
    smaller versions that keep the quality asked for.
    """

    id: str
    resource: str
    deployments: tuple[Deployment, ...]
    load_s: float | None  # from a replica's start to its first answer
    levels: tuple[Level, ...] = ()
    unknown_s: float = 0.0
    holding: tuple[Level, ...] = ()
    limit: int = 1
    tenant_id: str = ""
    compressed: tuple[Compressed, ...] = ()

    @property
    def held(self) -> float:
        """Replicas on average while awake; the one that must be there where nobody counted."""
        total = sum(level.seconds for level in self.holding)
        slots = sum(level.need * level.seconds for level in self.holding)
        return max(1.0, slots / total) if total else 1.0


@dataclass(frozen=True)
class Worker:
    """`lost` attempts of those that ran `work_s` on it; each cost `redo_s` on average."""

    id: str
    resource: str
    slots: int
    work_s: float
    lost: float
    redo_s: float


@dataclass(frozen=True)
class Pool:
    """The workers of a class; `levels` tell how many of its `slots` were needed, waiting jobs
    included.
    """

    resource: str
    slots: int
    workers: tuple[Worker, ...]
    levels: tuple[Level, ...]
    unknown_s: float = 0.0


@dataclass(frozen=True)
class Sharing:
    """What sharing passes would change: seconds of an update alone and beside others, and the share
    of the time in which there was somebody to share with. `spread` is how far the seconds may be
    off, as a share of them.
    """

    alone_s: float
    beside_s: float
    company: float
    spread: float = 0.0


@dataclass(frozen=True)
class Passes:
    """What the size of a pass costs: seconds of an update now, and at the size that memory allows.

    `fitting` is that size, in tokens.
    """

    now_s: float
    fitting_s: float
    fitting: int


@dataclass(frozen=True)
class Work:
    """A tenant's jobs of one kind on one base, on one resource: `slot_s` of it in all, the share
    `on_demand` of them at the full price.

    `snapshot_s` lies between two snapshots (None: it starts over). `patience_s` is how
    much longer they may take. `elsewhere` tells the slot-seconds on other resources that can do
    them in time, as measured.
    """

    id: str
    tenant_id: str
    kind: str
    base: str
    resource: str
    jobs: int
    slot_s: float
    on_demand: float = 1.0
    snapshot_s: float | None = None
    patience_s: float | None = None
    elsewhere: Mapping[str, float] = field(default_factory=dict)
    sharing: Sharing | None = None
    passes: Passes | None = None


@dataclass(frozen=True)
class Stored:
    """An object that nothing refers to. `idle_s` since its last use, `paid` for a month by its
    tenant, `remake` what making it again would cost (None: it cannot be told).
    """

    id: str
    tenant_id: str
    gigabytes: float
    idle_s: float
    remake: Decimal | None
    paid: Decimal = ZERO


@dataclass(frozen=True)
class Spell:
    """A time without use of an object: how long it was, and whether a use ended it."""

    seconds: float
    used_again: bool


@dataclass(frozen=True)
class Facts:
    seconds: float
    prices: Mapping[str, Price]
    gigabyte_month: Decimal = ZERO
    targets: tuple[Target, ...] = ()
    pools: tuple[Pool, ...] = ()
    work: tuple[Work, ...] = ()
    versions: tuple[Stored, ...] = ()
    files: tuple[Stored, ...] = ()
    version_spells: tuple[Spell, ...] = ()
    file_spells: tuple[Spell, ...] = ()

    @property
    def months(self) -> float:
        return self.seconds / MONTH_S


@dataclass(frozen=True)
class Terms:
    """What the platform's policy says things are worth; all thresholds follow from these.

    worth: USD a month that a finding must save to be worth a person's look.
    wait: USD for a second that a caller waits for a model that was asleep (36 an hour).
    shortage: what a slot that is needed and not there costs, in slots.
    late: share of jobs that may be done later than they should.
    sure: how sure a rule must be of what it takes from few events.
    lost_file: USD for a file that was deleted and is wanted again after all.
    horizon_months: over which a one-off cost must have come back.
    """

    worth: Decimal = Decimal(1)
    wait: Decimal = Decimal("0.01")
    shortage: float = 200.0
    late: float = 0.02
    sure: float = 0.99
    lost_file: Decimal = Decimal(20)
    horizon_months: float = 6.0
