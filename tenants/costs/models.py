"""Costs: what is bought, at what rate, and what each stretch of it was for.

The platform's own; no tenant reads it.
"""

from __future__ import annotations

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
