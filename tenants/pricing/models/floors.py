"""What stands below prices: how floors are told, and what was allowed below them.

The platform's own; no tenant reads it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models.functions import Now

from tenants.pricing.models.prices import PriceBook, PriceBookVersion, money, tenant_or_list

ZERO = Decimal(0)


def part(*, default: Decimal = ZERO) -> models.DecimalField[Any, Any]:
    """A share of one, in 6 decimals."""
    return models.DecimalField(max_digits=7, decimal_places=6, default=default)


class FloorPolicy(models.Model):
    """How floors are told from costs, from `created_at` until the next row. Append-only."""

    class Basis(models.TextChoices):
        LONG_RUN_HIGH = "long_run_high"  # the upper bound of the long-run average
        LONG_RUN = "long_run"
        SHORT_RUN = "short_run"

    id = models.CharField(max_length=40, primary_key=True)
    basis = models.CharField(max_length=16, choices=Basis, default=Basis.LONG_RUN_HIGH)
    planned_utilisation = part(default=Decimal("0.70"))
    fees = part()
    share = part()
    margin = part()
    days = models.PositiveIntegerField(default=30)  # of costs looked back upon
    months = models.PositiveIntegerField(default=12)  # over which given credit is spread
    reason = models.CharField(max_length=500)
    set_by = models.CharField(max_length=40)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "floor_policy"

    def __str__(self) -> str:
        return f"{self.basis} at {self.planned_utilisation}"


class LossBudget(models.Model):
    """Leave to sell between short-run cost and floor until `amount` is lost: a campaign's, for the
    proposals that name it; or, with a tenant, for what that tenant pays.

    `spent` and `volume` are sums of its `SaleDay` rows, written together with them.
    """

    class End(models.TextChoices):
        SPENT = "spent"
        VOLUME = "volume"
        EXPIRED = "expired"
        CLOSED = "closed"

    id = models.CharField(max_length=40, primary_key=True)
    tenant = tenant_or_list()
    campaign_id = models.CharField(max_length=40, default="", blank=True)
    reason = models.CharField(max_length=500)
    amount = money()
    currency = models.CharField(max_length=3)
    volume_cap = models.DecimalField(max_digits=38, decimal_places=12, null=True)  # units
    spent = money(default=ZERO)
    volume = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    starts = models.DateTimeField()
    expires_at = models.DateTimeField()
    approved_by = models.CharField(max_length=40)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=8, choices=End, default="", blank=True)

    class Meta:
        db_table = "loss_budget"
        constraints = (
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="loss_budget_above_0"),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("starts")), name="loss_budget_dates"
            ),
        )

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} until {self.expires_at:%Y-%m-%d}"


class PriceProposal(models.Model):
    """A price for one meter of a book during [starts, ends): proposed by one, approved by another.

    `charge` takes the place of the price under `price_key`, which `replaced` keeps (null: there
    was none). `foreseen` says what its proposer expects of the whole time: quantity, revenue, loss.
    `policy` is that of its campaign which it follows.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed"
        APPROVED = "approved"  # waits for its start
        ACTIVE = "active"
        ENDED = "ended"
        REFUSED = "refused"

    id = models.CharField(max_length=40, primary_key=True)
    campaign_id = models.CharField(max_length=40, default="", blank=True)
    policy = models.CharField(max_length=150, default="", blank=True)
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="+")
    loss_budget = models.ForeignKey(
        LossBudget, null=True, on_delete=models.PROTECT, related_name="proposals"
    )
    meter = models.CharField(max_length=60)
    match = models.JSONField(default=dict)
    price_key = models.CharField(max_length=1000)
    charge = models.JSONField()
    replaced = models.JSONField(null=True)
    starts = models.DateTimeField()
    ends = models.DateTimeField()
    volume_cap = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    foreseen = models.JSONField(default=dict)
    note = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED)
    proposed_by = models.CharField(max_length=40)
    created_at = models.DateTimeField(db_default=Now())
    decided_by = models.CharField(max_length=40, default="", blank=True)
    decided_at = models.DateTimeField(null=True)
    version = models.ForeignKey(
        PriceBookVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    end_version = models.ForeignKey(
        PriceBookVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        db_table = "price_proposal"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(ends__gt=models.F("starts")), name="price_proposal_dates"
            ),
        )

    def __str__(self) -> str:
        return f"{self.price_key} from {self.starts:%Y-%m-%d}"


class SaleDay(models.Model):
    """What was sold on a day under a proposal, or to the tenant of a loss budget (`subject_id`).

    `floor` is of a million units, as it was when the row was first written; `loss` is what the sale
    lies below it. `net` is in the currency of costs.
    """

    id = models.BigAutoField(primary_key=True)
    subject_id = models.CharField(max_length=40)
    budget = models.ForeignKey(LossBudget, null=True, on_delete=models.PROTECT, related_name="days")
    day = models.DateField()
    tenant_id = models.CharField(max_length=40)
    price_key = models.CharField(max_length=1000)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    net = money()
    floor = money()
    loss = money()

    class Meta:
        db_table = "sale_day"
        constraints = (
            models.UniqueConstraint(
                fields=["subject_id", "day", "tenant_id", "price_key"], name="sale_day_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.subject_id} {self.day} {self.price_key}"


class FloorFinding(models.Model):
    """A price in force that lies below its floor, as the sweep found it. One open row a price.

    Amounts are of a million tokens, in `currency`. `permit` is the override or loss budget that
    allows it; empty: nothing does.
    """

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    id = models.CharField(max_length=40, primary_key=True)
    book_id = models.CharField(max_length=40)
    tenant_id = models.CharField(max_length=40, default="", blank=True)
    price_key = models.CharField(max_length=1000)
    meter = models.CharField(max_length=60)
    base = models.CharField(max_length=200)
    effective = money()
    floor = money()
    stop = money()
    currency = models.CharField(max_length=3)
    permit = models.CharField(max_length=40, default="", blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "floor_finding"
        constraints = (
            models.UniqueConstraint(
                fields=["book_id", "tenant_id", "price_key"],
                condition=models.Q(state="open"),
                name="floor_finding_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.price_key} {self.effective}"
