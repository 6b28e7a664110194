"""Which queue a job goes to: the cheapest worker class that can do it in time. Pure."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenants.kernel.errors import Unavailable

OFFLOADED = 1.5  # times as long, where layers are read anew for each pass
TPU_HINT = (
    "torch_xla is not installed on this platform's TPU workers; install it, or ask for cpu or gpu"
)


@dataclass(frozen=True)
class Needs:
    """What a job asks for. `device` "any" leaves the choice to us; `work_s` is its time on one CPU
    slot with `memory_bytes`; with no more than `least_bytes` it goes on, but slower.
    """

    device: str = "any"
    memory_bytes: int = 0
    work_s: float = 0.0
    deadline_s: float | None = None
    least_bytes: int | None = None  # None: it needs all


@dataclass(frozen=True)
class Offer:
    """A worker class: price of a slot-second, speed relative to one CPU slot, memory of a slot.

    `unusable` says why the class cannot be used though it is configured ("" where it can).
    """

    worker_class: str
    price: Decimal
    speed: float = 1.0
    free_slots: int = 0
    memory_bytes: int | None = None
    unusable: str = ""


def place(needs: Needs, offers: Sequence[Offer]) -> str:
    """Return the worker class with the least cost that meets the deadline; the fastest where none
    does.

    Raises Unavailable where no class can do the job at all, saying for each why not.
    """
    refusals = {offer.worker_class: _refusal(needs, offer) for offer in offers}
    able = [offer for offer in offers if not refusals[offer.worker_class]]
    if not able:
        reasons = "; ".join(f"{name}: {why}" for name, why in refusals.items()) or "none configured"
        raise Unavailable(
            f"no worker class can run this job ({reasons})", code="no_worker_class", retry_after=60
        )
    punctual = [offer for offer in able if _meets_deadline(needs, offer)]
    if not punctual:
        return min(
            able, key=lambda offer: (_duration(needs, offer), offer.worker_class)
        ).worker_class
    return min(punctual, key=lambda offer: _preference(needs, offer)).worker_class


def _refusal(needs: Needs, offer: Offer) -> str:
    if needs.device not in {"any", offer.worker_class}:
        return f"the job asks for {needs.device}"
    if offer.unusable:
        return offer.unusable
    least = needs.memory_bytes if needs.least_bytes is None else needs.least_bytes
    if offer.memory_bytes is not None and least > offer.memory_bytes:
        return f"needs {least:,} bytes of memory, a slot has {offer.memory_bytes:,}"
    return ""


def _meets_deadline(needs: Needs, offer: Offer) -> bool:
    return needs.deadline_s is None or _duration(needs, offer) <= needs.deadline_s


def _duration(needs: Needs, offer: Offer) -> float:
    """Seconds on this class; one without a free slot is taken to wait for one job's length."""
    run = needs.work_s / offer.speed * _slowdown(needs, offer)
    return run if offer.free_slots else 2 * run


def _slowdown(needs: Needs, offer: Offer) -> float:
    is_short = offer.memory_bytes is not None and needs.memory_bytes > offer.memory_bytes
    return OFFLOADED if is_short else 1.0


def _preference(needs: Needs, offer: Offer) -> tuple[Decimal, float, str]:
    work = Decimal(repr(max(needs.work_s, 1.0) / offer.speed * _slowdown(needs, offer)))
    return offer.price * work, _duration(needs, offer), offer.worker_class


def pins(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a job's spec asks of where, and by when, it is done: nobody else moves such a job."""
    asked = {"device": spec.get("device") or "any", "deadline_s": spec.get("deadline_s")}
    return {name: value for name, value in asked.items() if value not in {None, "any"}}


def tpu_refusal() -> str:
    """Why TPU slots cannot be used from here, or "" where torch_xla is installed."""
    return "" if importlib.util.find_spec("torch_xla") else TPU_HINT
