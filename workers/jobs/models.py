"""Jobs: the row is the truth, a broker's message only a hint."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel
from workers.jobs.states import Kind, State


class Worker(models.Model):
    """A worker process with its slots. The platform's own table."""

    id = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=120)
    worker_class = models.CharField(max_length=16)  # cpu, gpu, tpu
    rate_kind = models.CharField(
        max_length=16, default="on_demand", db_default="on_demand"
    )  # how its time is bought
    queues = models.JSONField(default=list)
    slots = models.PositiveIntegerField()
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining_at = models.DateTimeField(null=True)
    drain_asked_at = models.DateTimeField(null=True)  # by an operator, who may take it back
    stopped_at = models.DateTimeField(null=True)
    busy = models.PositiveIntegerField(default=0)  # slots at work, as of the last heartbeat
    memory_bytes = models.BigIntegerField(default=0)  # of one slot; 0: not known

    class Meta:
        db_table = "worker"

    def __str__(self) -> str:
        return self.name


class Cohort(models.Model):
    """One slot's shared passes: the attempts of several tenants' fine-tunes under one lease.

    The platform's own table: which neighbours a job had is no tenant's to know.
    """

    id = models.CharField(max_length=40, primary_key=True)
    key = models.CharField(max_length=120)  # what its members have in common: see `cohorts`
    queue = models.CharField(max_length=40)
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, related_name="cohorts")
    slot = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "cohort"
        indexes = (
            models.Index(
                fields=["lease_expires_at"],
                name="cohort_lease",
                condition=models.Q(ended_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return self.id


class Job(TenantModel):
    """One piece of work. `token` grows with every attempt; a worker writes only while it holds the
    newest.
    """

    id = models.CharField(max_length=40, primary_key=True)
    kind = models.CharField(max_length=16, choices=Kind)
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    queue = models.CharField(max_length=40)  # "train.cpu"
    priority = models.SmallIntegerField(default=0)  # higher first, within the tenant's fair share
    spec = models.JSONField()  # the checked settings of its kind
    metadata = models.JSONField(default=dict)  # the customer's own labels
    created_by_kind = models.CharField(max_length=16, default="system")
    created_by_id = models.CharField(max_length=40, default="system")

    token = models.BigIntegerField(default=0)
    attempts_made = models.PositiveIntegerField(default=0)
    failures = models.JSONField(default=dict)  # failure kind → how often
    available_at = models.DateTimeField(db_default=Now())  # not before: back-off after a failure
    resume_from = models.CharField(
        max_length=40, default="", blank=True
    )  # the snapshot that counts

    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    cursor = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)  # the newest
    remaining_s = models.FloatField(null=True)
    result = models.JSONField(default=dict)
    error = models.JSONField(null=True)  # code, message, param

    cohort_key = models.CharField(
        max_length=120, default="", blank=True
    )  # with whom it may share passes; "": with nobody
    update_tokens = models.FloatField(default=0)  # of an update, on average
    shares_passes = models.BooleanField(default=False)  # its newest attempt is a cohort's member

    parent_id = models.CharField(
        max_length=40, default="", blank=True
    )  # the pipeline that asked for it, and pays
    asked_by = models.CharField(max_length=100, default="", blank=True)  # the pipeline's step
    quote_id = models.CharField(max_length=40, default="", blank=True)
    quoted = models.JSONField(default=dict)  # the quote's totals: see workers.jobs.money
    bound = models.DecimalField(max_digits=38, decimal_places=12, null=True)  # net; null: no bound
    charged = models.DecimalField(max_digits=38, decimal_places=12, default=0)  # net, so far
    charged_tax = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    stretch = models.DecimalField(
        max_digits=38, decimal_places=12, default=0
    )  # tax in it: what was charged at the last snapshot
    currency = models.CharField(max_length=3, default="", blank=True)  # "": it is not charged

    created_at = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "job"
        indexes = (
            models.Index(fields=["tenant", "kind", "-id"], name="job_list"),
            models.Index(
                fields=["tenant", "parent_id"], name="job_parent", condition=~models.Q(parent_id="")
            ),
            models.Index(
                fields=["queue", "available_at"],
                name="job_claimable",
                condition=models.Q(state=State.QUEUED),
            ),
            models.Index(
                fields=["cohort_key", "available_at"],
                name="job_joinable",
                condition=models.Q(state=State.QUEUED) & ~models.Q(cohort_key=""),
            ),
            models.Index(
                fields=["tenant", "state"],
                name="job_active",
                condition=models.Q(finished_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class Attempt(TenantModel):
    """One try at a job by one worker: its right to act, until `lease_expires_at` by the database's
    clock; that of a cohort's member until its cohort's.
    """

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        LOST = "lost"  # the lease ran out
        HANDED_BACK = "handed_back"  # the worker drained
        PAUSED = "paused"
        CANCELLED = "cancelled"

    id = models.CharField(max_length=40, primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    token = models.BigIntegerField()
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, related_name="attempts")
    slot = models.PositiveIntegerField(default=0)
    cohort = models.ForeignKey(Cohort, on_delete=models.PROTECT, null=True, related_name="attempts")
    lease_expires_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(null=True)  # when the child last moved forward
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, choices=Outcome, default="", blank=True)
    failure_kind = models.CharField(max_length=16, default="", blank=True)
    error = models.TextField(default="", blank=True)
    from_step = models.PositiveIntegerField(default=0)
    to_step = models.PositiveIntegerField(default=0)

    class Meta(TenantModel.Meta):
        db_table = "attempt"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "job", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["job"], condition=models.Q(ended_at__isnull=True), name="attempt_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(cohort__isnull=True) ^ models.Q(lease_expires_at__isnull=True),
                name="attempt_one_lease",
            ),
        )
        indexes = (
            models.Index(
                fields=["lease_expires_at"],
                name="attempt_lease",
                condition=models.Q(ended_at__isnull=True),
            ),
            models.Index(fields=["ended_at"], name="attempt_ended"),
        )

    def __str__(self) -> str:
        return f"{self.job_id} #{self.number}"


class Snapshot(TenantModel):
    """A resumable state of a running job, sealed under job/token/step."""

    id = models.CharField(max_length=40, primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="snapshots")
    token = models.BigIntegerField()
    step = models.PositiveIntegerField()
    storage_key = models.CharField(max_length=200)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "snapshot"
        indexes = (models.Index(fields=["tenant", "job", "-step"], name="snapshot_job"),)

    def __str__(self) -> str:
        return f"{self.job_id} step {self.step}"


class Checkpoint(TenantModel):
    """A usable model at an epoch's end (OpenAI's fine_tuning.job.checkpoint)."""

    id = models.CharField(max_length=40, primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="checkpoints")
    step = models.PositiveIntegerField()
    model_version_id = models.CharField(max_length=40)
    model_name = models.CharField(max_length=160)
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "job_checkpoint"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "job", "step"], name="checkpoint_once"),
        )

    def __str__(self) -> str:
        return f"{self.job_id} step {self.step}"


class JobEvent(TenantModel):
    """What happened in a job, for people and live pages. `type` is "message" or "metrics"."""

    id = models.CharField(max_length=40, primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="events")
    level = models.CharField(max_length=8, default="info")
    type = models.CharField(max_length=16, default="message")
    message = models.TextField()
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "job_event"
        indexes = (models.Index(fields=["tenant", "job", "id"], name="job_event_list"),)

    def __str__(self) -> str:
        return self.message
