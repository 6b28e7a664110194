"""What we asked of Stripe, what we know of its objects, what it told us, and what does not agree.

Calls and objects are written by the system only; a tenant may ask for a visit to Stripe's pages.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.billing.models.statements import ExactField
from tenants.kernel.tenancy import TenantModel


class StripeCall(TenantModel):
    """One request to Stripe, decided in a transaction and sent outside of any.

    `id` is its idempotency key for ever (Stripe forgets keys after a day), and stands in the
    object's metadata. `params` and `target` may refer to the answer of an earlier call.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"  # sent at least once; whether it was done is not known
        DONE = "done"
        REFUSED = "refused"  # Stripe said no, and would again

    id = models.CharField(max_length=40, primary_key=True)
    operation = models.CharField(max_length=40)
    key = models.CharField(max_length=120)  # ours: what it is for, once for each operation
    target = models.CharField(max_length=120, default="", blank=True)  # the object it acts on
    params = models.JSONField(default=dict)
    after = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="next")
    mode = models.CharField(max_length=4)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    refusals = models.PositiveIntegerField(default=0)  # that may pass: each ends a key's life
    available_at = models.DateTimeField(db_default=Now())  # also the end of a sender's lease
    sent_at = models.DateTimeField(null=True)  # first, under the present key
    answer_id = models.CharField(max_length=120, default="", blank=True)
    error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "stripe_call"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "operation", "key", "mode"], name="stripe_call_once"
            ),
        )
        indexes = (
            models.Index(
                fields=["available_at"],
                name="stripe_call_due",
                condition=models.Q(state__in=["queued", "sent"]),
            ),
        )

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"

    @property
    def idempotency_key(self) -> str:
        return f"{self.id}-{self.refusals}" if self.refusals else self.id


class StripeObject(TenantModel):
    """What we know of one of Stripe's objects: whose it is, what it is to us, how it stood."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=40)  # Stripe's `object`
    stripe_id = models.CharField(max_length=120)
    mode = models.CharField(max_length=4)
    our_id = models.CharField(max_length=120, default="", blank=True)  # invoice, visit, refund …
    state = models.CharField(max_length=40, default="", blank=True)
    currency = models.CharField(max_length=3, default="", blank=True)
    amount = ExactField(null=True)
    url = models.TextField(default="", blank=True)
    data = models.JSONField(default=dict)
    seen_at = models.DateTimeField()  # before it was fetched: what was seen later wins
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "stripe_object"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "kind", "stripe_id"], name="stripe_object_once"
            ),
        )
        indexes = (
            models.Index(fields=["stripe_id"], name="stripe_object_id"),
            models.Index(fields=["tenant", "kind", "our_id"], name="stripe_object_ours"),
        )

    def __str__(self) -> str:
        return self.stripe_id


class StripeVisit(TenantModel):
    """A tenant's way to one of Stripe's pages: to pay, to save a card, to its portal."""

    class Kind(models.TextChoices):
        TOP_UP = "top_up"
        SETUP = "setup"
        PORTAL = "portal"
        ONBOARDING = "onboarding"  # of a partner that is to be paid

    class State(models.TextChoices):
        ASKED = "asked"
        READY = "ready"  # `url` leads there
        PROCESSING = "processing"  # done by the customer; the money is on its way
        DONE = "done"
        EXPIRED = "expired"
        FAILED = "failed"

    id = models.CharField(max_length=40, primary_key=True)
    kind = models.CharField(max_length=10, choices=Kind)
    currency = models.CharField(max_length=3, default="", blank=True)
    amount = ExactField(null=True)
    return_url = models.CharField(max_length=500)
    state = models.CharField(max_length=12, choices=State, default=State.ASKED)
    url = models.TextField(default="", blank=True)
    error = models.CharField(max_length=300, default="", blank=True)
    payment_id = models.CharField(max_length=40, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "stripe_visit"
        indexes = (models.Index(fields=["tenant", "-created_at"], name="stripe_visit_tenant"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"


class StripeEvent(models.Model):
    """A webhook, once for its id. It says which object to look at, and nothing that we believe."""

    class State(models.TextChoices):
        NEW = "new"
        HANDLED = "handled"
        IGNORED = "ignored"  # about a kind of object that is nothing to us

    id = models.CharField(max_length=120, primary_key=True)
    type = models.CharField(max_length=120)
    api_version = models.CharField(max_length=60, default="", blank=True)
    livemode = models.BooleanField(default=False)
    account = models.CharField(max_length=120, default="", blank=True)  # a connected one
    kind = models.CharField(max_length=60, default="", blank=True)
    object_id = models.CharField(max_length=120, default="", blank=True)
    made_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    attempts = models.PositiveIntegerField(default=0)
    available_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True)
    error = models.TextField(default="", blank=True)

    class Meta:
        db_table = "stripe_event"
        indexes = (
            models.Index(
                fields=["available_at"], name="stripe_event_due", condition=models.Q(state="new")
            ),
            models.Index(fields=["-received_at"], name="stripe_event_received"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class StripeFinding(models.Model):
    """Something that does not agree, or that a person must decide: with evidence and what to do."""

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    id = models.CharField(max_length=40, primary_key=True)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=120)  # Stripe's id or ours
    tenant_id = models.CharField(max_length=40, default="", blank=True)
    evidence = models.JSONField(default=dict)
    action = models.CharField(max_length=300)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=40, default="", blank=True)

    class Meta:
        db_table = "stripe_finding"
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "subject"],
                name="stripe_finding_once",
                condition=models.Q(state="open"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class StripeStream(TenantModel):
    """A tenant's usage of one meter that Stripe prices, from `since` on; never priced here, too."""

    id = models.CharField(max_length=40, primary_key=True)
    meter = models.CharField(max_length=60)
    event_name = models.CharField(max_length=100)  # of the meter in Stripe
    price_id = models.CharField(max_length=120)  # that the operator made there
    since = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "stripe_stream"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "meter"],
                name="stripe_stream_once",
                condition=models.Q(ended_at__isnull=True),
            ),
        )
        indexes = (models.Index(fields=["tenant", "meter"], name="stripe_stream_tenant"),)

    def __str__(self) -> str:
        return f"{self.meter} → {self.event_name}"


class StripeReport(TenantModel):
    """How much of one hour of a stream was reported, in how many events."""

    id = models.BigAutoField(primary_key=True)
    stream = models.ForeignKey(StripeStream, on_delete=models.PROTECT, related_name="reports")
    hour = models.DateTimeField()
    quantity = ExactField(default=0)
    events = models.PositiveIntegerField(default=0)

    class Meta(TenantModel.Meta):
        db_table = "stripe_report"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "stream", "hour"], name="stripe_report_once"),
        )

    def __str__(self) -> str:
        return f"{self.stream_id} {self.hour}"
