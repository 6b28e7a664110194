"""What a million tokens cost before and after a compression, of a slot that is kept busy.

Measured seconds of a forward pass at the slot's rate in force: how low a price for the smaller
model could go before waiting time, which depends on the traffic and not on the model, is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tenants.costs.selectors import rates_now
from tenants.kernel.money import Money
from workers.engine.compression.specs import LATENCY_TOKENS
from workers.jobs.models import Job
from workers.jobs.selectors import jobs_visible
from workers.jobs.states import Kind, State

MILLION = 1_000_000
NEWEST = 100


@dataclass(frozen=True)
class CompressionCost:
    """`before` and `after`: of a million tokens through the dense model and the smaller one."""

    job: Job
    before: Money
    after: Money


def compression_costs(limit: int = NEWEST) -> Iterator[CompressionCost]:
    """Of the newest compressions that have succeeded (system scope)."""
    rates = rates_now()
    for job in jobs_visible(Kind.COMPRESS).filter(state=State.SUCCEEDED)[:limit]:
        rate = rates.get(f"worker.{job.queue.rpartition('.')[2]}")
        if rate is None:
            continue  # nobody has said yet what such a slot costs
        metrics = job.result["metrics"]
        yield CompressionCost(
            job=job,
            before=_per_million(metrics["dense_latency_ms"], rate),
            after=_per_million(metrics["latency_ms"], rate),
        )


def _per_million(milliseconds: float, rate: Money) -> Money:
    seconds = Decimal(repr(milliseconds)) / 1000 * MILLION / LATENCY_TOKENS
    return Money((seconds * rate.amount).quantize(Decimal("1e-12")), rate.currency)
