"""Deployments: models on offer. Replicas: processes that serve them."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel
from workers.assets.models import BaseModel, ModelVersion
from workers.jobs.models import Job

SLEEP_AFTER_S = 900  # without a request


class Deployment(TenantModel):
    """A model on offer to its tenant. `target` names what a replica must have loaded: a base's id,
    or a full version's.
    """

    class State(models.TextChoices):
        ASLEEP = "asleep"  # no replica wanted until a request comes
        WAKING = "waking"
        READY = "ready"
        FAILED = "failed"
        DELETED = "deleted"

    id = models.CharField(max_length=40, primary_key=True)
    model = models.CharField(max_length=160)  # what callers put in `model`
    base = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="deployments"
    )
    target = models.CharField(max_length=80)
    state = models.CharField(max_length=16, choices=State, default=State.ASLEEP)
    max_replicas = models.PositiveIntegerField(default=1)
    sleep_after_s = models.PositiveIntegerField(default=SLEEP_AFTER_S)
    wanted_until = models.DateTimeField(null=True)  # pushed forward by each request
    wakings = models.PositiveIntegerField(default=0, db_default=0)  # that have ended
    last_error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "deployment"
        indexes = (models.Index(fields=["tenant", "-id"], name="deployment_list"),)
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "model"],
                condition=models.Q(deleted_at__isnull=True),
                name="deployment_once",
            ),
        )

    def __str__(self) -> str:
        return self.model


class ReadySpan(TenantModel):
    """A stretch of time through which a deployment was ready; what `deployment.hours` counts."""

    id = models.BigAutoField(primary_key=True)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="spans")
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "ready_span"
        indexes = (
            models.Index(fields=["tenant", "deployment", "started_at"], name="ready_span_read"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "deployment"],
                condition=models.Q(ended_at__isnull=True),
                name="ready_span_one_open",
            ),
        )

    def __str__(self) -> str:
        return f"{self.deployment_id} from {self.started_at}"


class MeterWatermark(models.Model):
    """Up to which hour a periodic meter has counted. The platform's own table."""

    meter = models.CharField(max_length=60, primary_key=True)
    until = models.DateTimeField()

    class Meta:
        db_table = "meter_watermark"

    def __str__(self) -> str:
        return f"{self.meter} until {self.until}"


class Replica(models.Model):
    """One process serving one target, at a private address. The platform's own table."""

    class State(models.TextChoices):
        STARTING = "starting"
        READY = "ready"
        DRAINING = "draining"
        STOPPED = "stopped"

    id = models.CharField(max_length=40, primary_key=True)
    target = models.CharField(max_length=80)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="replicas")
    token = models.BigIntegerField()  # the serve job's fencing token
    address = models.CharField(max_length=120, default="", blank=True)  # "127.0.0.1:41231"
    secret = models.CharField(max_length=80, default="", blank=True)  # gateway → replica
    state = models.CharField(max_length=16, choices=State, default=State.STARTING)
    adapters = models.JSONField(default=list)  # version ids that are loaded
    active = models.PositiveIntegerField(default=0)  # sequences being generated now
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "replica"
        indexes = (models.Index(fields=["target", "state"], name="replica_target"),)
        constraints = (models.UniqueConstraint(fields=["job", "token"], name="replica_once"),)

    def __str__(self) -> str:
        return f"{self.target} {self.address}"
