"""Usage: immutable counts, each accepted once for ever."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel


class UsageKey(TenantModel):
    """The permanent memory of an event's idempotency key, and a hash of what came under it."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=200)
    payload_hash = models.CharField(max_length=64)

    class Meta(TenantModel.Meta):
        db_table = "usage_key"
        constraints = (models.UniqueConstraint(fields=["tenant", "key"], name="usage_key_once"),)

    def __str__(self) -> str:
        return self.key


class UsageEvent(TenantModel):
    """`quantity` of `meter`, at `event_time`. Never updated, never deleted (a trigger refuses)."""

    id = models.CharField(max_length=40, primary_key=True)
    meter = models.CharField(max_length=60)
    quantity = models.DecimalField(max_digits=30, decimal_places=12)
    event_time = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=Now())
    source = models.CharField(max_length=60)  # "jobs", "gateway", a plugin's name
    key = models.CharField(max_length=200)
    dimensions = models.JSONField(default=dict)  # model, job_id, api_key_id …

    class Meta(TenantModel.Meta):
        db_table = "usage_event"
        indexes = (models.Index(fields=["tenant", "meter", "event_time"], name="usage_event_read"),)

    def __str__(self) -> str:
        return f"{self.meter} {self.quantity}"
