"""What a million tokens cost before and after a compression, and how low each one's price may go.

Measured seconds of a forward pass at the slot's rate in force, of a slot that is kept busy. The
floor adds the waiting that is planned for, and what is taken of a price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tenants.costs.selectors import rates_now
from tenants.costs.standard import Assumptions, Work, long_run
from tenants.kernel.money import Money
from tenants.pricing.floors import Takes, price_floor
from workers.engine.compression.specs import LATENCY_TOKENS
from workers.jobs.models import Job
from workers.jobs.selectors import jobs_visible
from workers.jobs.states import Kind, State

MILLION = 1_000_000
NEWEST = 100
AT_PLAN, NOTHING_TAKEN = Assumptions(), Takes()
EXACT = Decimal("1e-12")


@dataclass(frozen=True)
class UnitCost:
    """Of a million tokens: what they cost, and the lowest price that pays it at plan."""

    cost: Money
    floor: Money


@dataclass(frozen=True)
class CompressionCost:
    """`before`: through the dense model; `after`: through the smaller one."""

    job: Job
    before: UnitCost
    after: UnitCost


def compression_costs(
    limit: int = NEWEST, *, given: Assumptions = AT_PLAN, takes: Takes = NOTHING_TAKEN
) -> Iterator[CompressionCost]:
    """Of the newest compressions that have succeeded (system scope)."""
    rates = rates_now()
    for job in jobs_visible(Kind.COMPRESS).filter(state=State.SUCCEEDED)[:limit]:
        resource = f"worker.{job.queue.rpartition('.')[2]}"
        rate = rates.get(resource)
        if rate is None:
            continue  # nobody has said yet what such a slot costs
        metrics = job.result["metrics"]
        tokens = metrics.get("latency_tokens", LATENCY_TOKENS)
        before, after = (
            _unit(metrics[name], tokens, resource, rate, given, takes)
            for name in ("dense_latency_ms", "latency_ms")
        )
        yield CompressionCost(job, before, after)


def _unit(
    milliseconds: float, tokens: float, resource: str, rate: Money, given: Assumptions, takes: Takes
) -> UnitCost:
    seconds = Decimal(repr(milliseconds)) / 1000 * MILLION / Decimal(repr(tokens))
    amount = seconds * rate.amount
    floor = price_floor(long_run([Work(resource, amount, seconds)], Decimal(1), given), takes)
    return UnitCost(*(Money(each.quantize(EXACT), rate.currency) for each in (amount, floor)))
