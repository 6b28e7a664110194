"""Costs: what is bought, at what rate, and what each stretch of it was for.

The platform's own; no tenant reads it.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now


class Resource(models.Model):
    """Something that is bought: a worker class, storage, egress, a supplier's API."""

    id = models.CharField(max_length=60, primary_key=True)  # "worker.cpu"
    unit = models.CharField(max_length=30)  # "slot-second"
    description = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        db_table = "cost_resource"

    def __str__(self) -> str:
        return self.id


class Rate(models.Model):
    """What one unit of a resource costs from `valid_from` until the next rate of its kind.

    Never changed (a trigger refuses): entries point at the rate that priced them.
    """

    class Kind(models.TextChoices):
        ON_DEMAND = "on_demand"
        SPOT = "spot"
        RESERVED = "reserved"
        OWNED = "owned"
        SUPPLIER = "supplier"

    id = models.BigAutoField(primary_key=True)
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="rates")
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.ON_DEMAND)
    amount = models.DecimalField(max_digits=30, decimal_places=12)  # per unit
    currency = models.CharField(max_length=3, default="USD")
    valid_from = models.DateTimeField()

    class Meta:
        db_table = "cost_rate"
        constraints = (
            models.UniqueConstraint(fields=["resource", "kind", "valid_from"], name="rate_once"),
        )

    def __str__(self) -> str:
        return f"{self.resource_id} {self.amount} {self.currency}"


class CostEntry(models.Model):
    """A stretch of one worker slot (or another resource), and whom it was for.

    `purpose` says what for; `tenant_id` and `job_id` are empty for idle and start-up time.
    `labels` say more of the job (kind, base, method), for unit costs.
    """

    class Purpose(models.TextChoices):
        JOB = "job"
        IDLE = "idle"
        STARTUP = "startup"
        RETRY = "retry"

    id = models.CharField(max_length=40, primary_key=True)
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="entries")
    rate = models.ForeignKey(Rate, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(
        max_length=200, unique=True
    )  # (attempt, sequence) or (worker, slot, sequence)
    purpose = models.CharField(max_length=16, choices=Purpose)
    tenant_id = models.CharField(max_length=40, default="", blank=True)
    job_id = models.CharField(max_length=40, default="", blank=True)
    attempt = models.PositiveIntegerField(null=True)
    worker = models.CharField(max_length=120, default="", blank=True)
    slot = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    quantity = models.DecimalField(max_digits=30, decimal_places=12)  # slot-seconds
    amount = models.DecimalField(max_digits=38, decimal_places=18)  # quantity x rate, unrounded
    currency = models.CharField(max_length=3, default="USD")
    labels = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "cost_entry"
        indexes = (
            models.Index(fields=["job_id"], name="cost_entry_job"),
            models.Index(fields=["worker", "slot", "started_at"], name="cost_entry_slot"),
            models.Index(fields=["started_at"], name="cost_entry_time"),
        )

    def __str__(self) -> str:
        return f"{self.purpose} {self.quantity} {self.resource_id}"


class _DaySum(models.Model):
    """The sum of the entries that started on one UTC day and share the other columns.

    A trigger keeps it, in the statement that inserts entries: exact at every commit. Nobody else
    may write.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    resource = models.ForeignKey(
        Resource, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    purpose = models.CharField(max_length=16)
    kind = models.CharField(max_length=200, default="")
    base = models.CharField(max_length=200, default="")
    method = models.CharField(max_length=200, default="")
    seconds = models.DecimalField(max_digits=38, decimal_places=12)
    amount = models.DecimalField(max_digits=48, decimal_places=18)
    entries = models.BigIntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day} {self.purpose} {self.resource_id} {self.amount}"


class CostDay(_DaySum):
    """A day's costs by tenant: for the explorer and unit costs."""

    tenant_id = models.CharField(max_length=40, default="")

    class Meta:
        db_table = "cost_day"
        constraints = (
            models.UniqueConstraint(
                fields=["day", "resource", "purpose", "tenant_id", "kind", "base", "method"],
                name="cost_day_once",
            ),
        )


class CostWorkerDay(_DaySum):
    """A day's costs by worker: for the sampling bounds of unit costs."""

    worker = models.CharField(max_length=120, default="")

    class Meta:
        db_table = "cost_worker_day"
        constraints = (
            models.UniqueConstraint(
                fields=["day", "resource", "purpose", "worker", "kind", "base", "method"],
                name="cost_worker_day_once",
            ),
        )


class WasteFinding(models.Model):
    """Money that leaks: what the sweep found of one subject, for as long as it is found.

    `version` names the state that the action relies on: one that has changed since is refused.
    `undo` is what the action needs to be taken back, until `undo_until`. Money is USD a month.
    """

    class State(models.TextChoices):
        OPEN = "open"
        APPLIED = "applied"
        UNDONE = "undone"
        CLOSED = "closed"  # not found any more, or an operator wants it so

    id = models.CharField(max_length=40, primary_key=True)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=300)
    tenant_id = models.CharField(max_length=40, default="", blank=True)
    saving = models.DecimalField(max_digits=20, decimal_places=2)
    beside = models.DecimalField(max_digits=20, decimal_places=2)  # beyond the others: these sum
    currency = models.CharField(max_length=3, default="USD")
    action = models.CharField(max_length=40)
    arguments = models.JSONField(default=dict)
    evidence = models.JSONField(default=dict)
    version = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    applied_at = models.DateTimeField(null=True)
    applied_by = models.CharField(max_length=40, default="", blank=True)
    undo = models.JSONField(null=True)
    undo_until = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=40, default="", blank=True)  # "": the sweep
    before = models.DecimalField(max_digits=20, decimal_places=2, null=True)
    after = models.DecimalField(max_digits=20, decimal_places=2, null=True)
    measured_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "waste_finding"
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "subject"],
                name="waste_finding_once",
                condition=models.Q(state="open"),
            ),
        )
        indexes = (models.Index(fields=["state", "-saving"], name="waste_finding_list"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def measured(self) -> Decimal | None:
        """What a month costs less than before its action; None until it was measured."""
        return None if self.before is None or self.after is None else self.before - self.after


class LeverMeasurement(models.Model):
    """What a way of working more cheaply gained in a period, from the work done in it.

    `point` is the share of the cost that it saved, between `low` and `high` (90%); `saved` is USD.
    """

    class Lever(models.TextChoices):
        COHORT = "cohort"
        COMPRESSION = "compression"
        UTILISATION = "utilisation"
        PROCUREMENT = "procurement"

    id = models.BigAutoField(primary_key=True)
    lever = models.CharField(max_length=16, choices=Lever)
    since = models.DateTimeField()
    until = models.DateTimeField()
    point = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    saved = models.DecimalField(max_digits=20, decimal_places=6)
    currency = models.CharField(max_length=3, default="USD")
    sample = models.PositiveIntegerField()  # jobs, or days, that it comes from
    evidence = models.JSONField(default=dict)
    measured_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "lever_measurement"
        constraints = (
            models.UniqueConstraint(
                fields=["lever", "since", "until"], name="lever_measurement_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.lever} {self.point:.0%}"


class CostOverhead(models.Model):
    """What is paid for all of the work: `amount` a month, absorbed over `planned` units a month of
    its driver, during [valid_from, ends).
    """

    class Driver(models.TextChoices):
        SECONDS = "seconds"  # of work
        DIRECT = "direct"  # cost of jobs

    id = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=60)
    amount = models.DecimalField(max_digits=20, decimal_places=6)
    driver = models.CharField(max_length=8, choices=Driver)
    planned = models.DecimalField(max_digits=20, decimal_places=6)
    valid_from = models.DateField()
    ends = models.DateField(null=True)

    class Meta:
        db_table = "cost_overhead"
        constraints = (
            models.UniqueConstraint(
                fields=["name"], name="cost_overhead_once", condition=models.Q(ends=None)
            ),
        )

    def __str__(self) -> str:
        return self.name


class PurchaseOffer(models.Model):
    """Capacity that can be bought ahead: what a unit of it is, for how long, and what it costs.

    Never changed but to be withdrawn: a plan names the very offers that it was made from. `kinds`
    of work that it can do; none: any. Money is in `currency`, for one unit.
    """

    class Kind(models.TextChoices):
        RESERVED = "reserved"
        OWNED = "owned"

    id = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=60)
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.RESERVED)
    kinds = models.JSONField(default=list)
    months = models.PositiveIntegerField()  # the term, or a machine's life
    capacity = models.DecimalField(max_digits=20, decimal_places=6)  # slot-hours a month
    upfront = models.DecimalField(max_digits=20, decimal_places=6)
    monthly = models.DecimalField(max_digits=20, decimal_places=6)
    currency = models.CharField(max_length=3, default="USD")
    available = models.PositiveIntegerField()  # units a month
    until = models.DateField(null=True)  # the last day on which it can be bought
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=40, default="", blank=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "purchase_offer"
        constraints = (
            models.UniqueConstraint(
                fields=["name"],
                name="purchase_offer_once",
                condition=models.Q(withdrawn_at=None),
            ),
            models.CheckConstraint(
                condition=models.Q(months__gte=1, capacity__gt=0, upfront__gte=0, monthly__gte=0),
                name="purchase_offer_sound",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def cost(self) -> Decimal:
        """Of a unit's whole term."""
        return self.upfront + self.monthly * self.months


class PurchasePlan(models.Model):
    """What to buy, worked out by the job of the same id from what was `drafted` from the books.

    `result` is kept once it is adopted: the job's own, and what later months are compared with.
    One plan at most is in force.
    """

    id = models.CharField(max_length=40, primary_key=True)  # its job's
    key = models.CharField(max_length=120, unique=True)  # of the request that made it
    fingerprint = models.CharField(max_length=64)  # of what that asked for
    name = models.CharField(max_length=60)
    starts = models.DateField()  # the first day of its first month
    months = models.PositiveIntegerField()
    drafted = models.JSONField()
    result = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=40, default="", blank=True)
    in_force = models.BooleanField(default=False)
    adopted_at = models.DateTimeField(null=True)
    adopted_by = models.CharField(max_length=40, default="", blank=True)
    ended_at = models.DateTimeField(null=True)
    ends = models.DateField(null=True)  # the first day of the month from which another one decides

    class Meta:
        db_table = "purchase_plan"
        constraints = (
            models.UniqueConstraint(
                fields=["in_force"],
                name="purchase_plan_one_in_force",
                condition=models.Q(in_force=True),
            ),
        )

    def __str__(self) -> str:
        return self.name
