"""Usage: immutable counts, each accepted once for ever, and their sums by hour."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel


class UnconstrainedTenantModel(TenantModel):
    """Rows whose tenant no foreign key checks one by one: that of their `UsageHour` has done it."""

    tenant = models.ForeignKey(
        "accounts.Tenant",
        on_delete=models.PROTECT,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )

    class Meta(TenantModel.Meta):
        abstract = True


def _dimension(name: str) -> models.GeneratedField:
    """A copy in a column of its own: under row-level security no index on an expression over
    `dimensions` is used, since `->>` is not leakproof.
    """
    return models.GeneratedField(
        expression=KeyTextTransform(name, "dimensions"),
        output_field=models.CharField(max_length=200, null=True),
        db_persist=True,
    )


class UsageKey(UnconstrainedTenantModel):
    """The permanent memory of an event's idempotency key, and a hash of what came under it."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=200)
    payload_hash = models.CharField(max_length=64)

    class Meta(TenantModel.Meta):
        db_table = "usage_key"
        constraints = (models.UniqueConstraint(fields=["tenant", "key"], name="usage_key_once"),)

    def __str__(self) -> str:
        return self.key


class UsageEvent(UnconstrainedTenantModel):
    """`quantity` of `meter`, at `event_time`. Never updated, never deleted (a trigger refuses).

    Partitioned by month of `event_time`. In the database the primary key is (tenant, id, event
    time); ids sort by the time of ingestion.
    """

    id = models.CharField(max_length=40, primary_key=True)
    meter = models.CharField(max_length=60)
    quantity = models.DecimalField(max_digits=30, decimal_places=12)
    event_time = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=Now())
    source = models.CharField(max_length=220)  # "jobs", "gateway", "external:…"
    key = models.CharField(max_length=200)
    dimensions = models.JSONField(default=dict)  # model, job_id, api_key_id …
    model = _dimension("model")
    api_key_id = _dimension("api_key_id")

    class Meta(TenantModel.Meta):
        db_table = "usage_event"
        indexes = (
            models.Index(fields=["tenant", "event_time"], name="usage_event_time"),
            models.Index(fields=["tenant", "meter", "id"], name="usage_event_meter"),
            models.Index(fields=["tenant", "model", "id"], name="usage_event_model"),
            models.Index(fields=["tenant", "api_key_id", "id"], name="usage_event_api_key"),
            BrinIndex(fields=["ingested_at"], name="usage_event_ingested"),  # what came late
        )

    def __str__(self) -> str:
        return f"{self.meter} {self.quantity}"


class UsageHour(TenantModel):
    """The sum of a tenant's events of one meter, source and set of dimensions in one UTC hour.

    A trigger keeps it, in the statement that inserts events; nobody else may write. Its dimensions
    are the events' without those in `meters.UNSUMMED`; `digest` is the sha256 of meter, source and
    dimensions.
    """

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    digest = models.BinaryField(max_length=32)
    meter = models.CharField(max_length=60)
    source = models.CharField(max_length=220)
    dimensions = models.JSONField(default=dict)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    events = models.BigIntegerField()

    class Meta(TenantModel.Meta):
        db_table = "usage_hour"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "hour", "digest"], name="usage_hour_once"),
        )

    def __str__(self) -> str:
        return f"{self.meter} {self.quantity} at {self.hour:%Y-%m-%d %H}"


class UsageTold(TenantModel):
    """How far an installation has been told of its tenant's usage: everything up to this event."""

    installation_id = models.CharField(max_length=40, primary_key=True)
    ingested_at = models.DateTimeField()
    event_id = models.CharField(max_length=40, default="", blank=True)
    due_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "usage_told"
        indexes = (models.Index(fields=["tenant", "due_at"], name="usage_told_due"),)

    def __str__(self) -> str:
        return f"{self.installation_id} up to {self.ingested_at}"
