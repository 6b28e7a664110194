"""Facts about costs: the platform's own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tenants.kernel.events import Event


@dataclass(frozen=True)
class WasteFound(Event, name="waste.found", aggregate="finding_id"):
    """Money leaks, `saving` a month; an action is at hand."""

    finding_id: str
    kind: str
    subject: str
    saving: Decimal
    currency: str


@dataclass(frozen=True)
class WasteClosed(Event, name="waste.closed", aggregate="finding_id"):
    """It is not found any more, or was dealt with otherwise."""

    finding_id: str
    kind: str


@dataclass(frozen=True)
class WasteApplied(Event, name="waste.applied", aggregate="finding_id"):
    """An operator did what stops it."""

    finding_id: str
    kind: str
    action: str


@dataclass(frozen=True)
class WasteUndone(Event, name="waste.undone", aggregate="finding_id"):
    """What was done was taken back."""

    finding_id: str
    kind: str
    action: str


@dataclass(frozen=True)
class WasteMeasured(Event, name="waste.measured", aggregate="finding_id"):
    """What a month costs less since it was done."""

    finding_id: str
    kind: str
    promised: Decimal
    measured: Decimal
    currency: str


@dataclass(frozen=True)
class PurchasePlanAdopted(Event, name="purchase_plan.adopted", aggregate="plan_id"):
    """A purchase plan is in force from its first month on, in the place of the one named."""

    plan_id: str
    replaces: str
    starts: str
