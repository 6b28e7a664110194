"""Tables beneath every app: outbox, inbox, data keys, answers kept for repeated requests."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel


class OutboxEvent(models.Model):
    """An event that awaits its handlers. Written with the change it tells of; drained by the relay.

    Tenants may append their own (row-level security); only the system reads across them.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=40, unique=True)
    tenant_id = models.CharField(max_length=40, null=True)  # noqa: DJ001 -- null: the platform's own
    name = models.CharField(max_length=80)
    aggregate_id = models.CharField(max_length=80)
    payload = models.JSONField()
    trace_id = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    available_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(default="", blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbox_event"
        indexes = (
            models.Index(
                fields=["id"],
                name="outbox_undelivered",
                condition=models.Q(delivered_at__isnull=True),
            ),
            models.Index(
                fields=["aggregate_id", "id"],
                name="outbox_aggregate",
                condition=models.Q(delivered_at__isnull=True),
            ),
            models.Index(fields=["tenant_id", "id"], name="outbox_tenant"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.event_id}"


class InboxEntry(models.Model):
    """Handler `handler` has dealt with event `event_id`: never again."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=40)
    handler = models.CharField(max_length=160)
    processed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "inbox_entry"
        constraints = (models.UniqueConstraint(fields=["event_id", "handler"], name="inbox_once"),)

    def __str__(self) -> str:
        return f"{self.handler} {self.event_id}"


class DataKey(TenantModel):
    """A tenant's data key, wrapped by a key-encryption key.

    Destroying it erases all that it encrypted.
    """

    id = models.CharField(max_length=40, primary_key=True)
    wrapped = models.BinaryField(null=True)  # null once destroyed
    kek_id = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    destroyed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "data_key"
        indexes = (models.Index(fields=["tenant", "created_at"], name="data_key_tenant"),)

    def __str__(self) -> str:
        return self.id


class IdempotentRequest(TenantModel):
    """The answer to a request that a client may repeat: same key, same answer.

    `response_status` is null while the first is still being worked on. The body is sealed; the
    gateway's also names the request that claimed the key.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # sha256 of method, path and body
    response_status = models.PositiveSmallIntegerField(null=True)
    response_body = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "idempotent_request"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "key"], name="idempotent_request_once"),
        )

    def __str__(self) -> str:
        return self.key
