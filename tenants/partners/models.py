"""Partners: who sells under which name, by which agreement, and who enabled what.

`partner_share` is the platform's own table: it names customers, whom no partner may see. It is
written by the database's functions with the charge that it belongs to (`tenants/ledger/sql/`).
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from tenants.kernel.fields import amount_field, party_field
from tenants.kernel.tenancy import TenantModel


class Agreement(TenantModel):
    """One version of a partner's terms, in force during [starts, ends). `tenant` is the partner."""

    id = models.CharField(max_length=40, primary_key=True)
    number = models.PositiveIntegerField()
    terms = models.JSONField()  # see `terms.py`
    note = models.CharField(max_length=300, default="", blank=True)
    starts = models.DateTimeField()
    ends = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "agreement"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "number"], name="agreement_number_once"),
            models.UniqueConstraint(
                fields=["tenant"], condition=models.Q(ends__isnull=True), name="agreement_one_open"
            ),
        )

    def __str__(self) -> str:
        return f"{self.tenant_id} v{self.number}"


class Seller(models.Model):
    """The name under which a partner sells, its for ever: `plugin:finance_risk`."""

    name = models.CharField(max_length=120, primary_key=True)
    partner = party_field()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "seller"
        indexes = (models.Index(fields=["partner"], name="seller_partner"),)

    def __str__(self) -> str:
        return self.name


class Share(models.Model):
    """A partner's part of one sale. What goes back, or comes again, is a row that `returns` it.

    `net` was sold, `amount` of it is the partner's, which bears `cost` of the compute. Append-only.
    """

    class Cause(models.TextChoices):
        SALE = "sale"
        MINIMUM = "minimum"
        RETURN = "return"
        DISPUTE = "dispute"
        DISPUTE_WON = "dispute_won"

    id = models.BigAutoField(primary_key=True)
    transaction_id = models.CharField(max_length=40)
    cause = models.CharField(max_length=16, choices=Cause)
    customer = party_field(null=True)  # null: a minimum, which no customer pays
    partner = party_field()
    agreement_id = models.CharField(max_length=40)
    seller = models.CharField(max_length=120, default="", blank=True)
    revenue = models.CharField(max_length=40)
    subject = models.CharField(max_length=160, default="", blank=True)  # of the charge: job:job_1
    period = models.DateField()  # the month's first day
    currency = models.CharField(max_length=3)
    net = amount_field()
    amount = amount_field()
    cost = amount_field(default=0)
    returns = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, db_index=False, related_name="returned_by"
    )
    available_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "partner_share"
        indexes = (
            models.Index(fields=["partner", "currency", "available_at"], name="share_partner"),
            models.Index(fields=["agreement_id", "revenue", "period"], name="share_month"),
            models.Index(fields=["customer", "period", "seller"], name="share_customer"),
            models.Index(fields=["customer", "subject"], name="share_subject"),
            models.Index(fields=["transaction_id"], name="share_transaction"),
            models.Index(
                fields=["returns"],
                name="share_returns",
                condition=models.Q(returns__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.cause} {self.amount} {self.currency}"


class Release(models.Model):
    """A published version of a plugin: what tenants may enable and the host may run.

    `partner` is null for the platform's own built-ins.
    """

    id = models.CharField(max_length=40, primary_key=True)
    plugin = models.CharField(max_length=63)
    version = models.CharField(max_length=40)
    partner = party_field(null=True)
    publisher = models.CharField(max_length=120)  # the partner's name, which others cannot read
    title = models.CharField(max_length=120)
    description = models.TextField(default="", blank=True)
    manifest = models.JSONField()
    offers = models.JSONField(default=dict)  # pipelines, meters, prices, services: as declared
    wheel_key = models.CharField(max_length=200, default="", blank=True)
    wheel_name = models.CharField(max_length=200, default="", blank=True)
    wheel_sha256 = models.CharField(max_length=64, default="", blank=True)
    published_at = models.DateTimeField(db_default=Now())
    suspended_at = models.DateTimeField(null=True)
    suspended_because = models.CharField(max_length=500, default="", blank=True)
    installs = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "plugin_release"
        constraints = (
            models.UniqueConstraint(fields=["plugin", "version"], name="plugin_release_once"),
        )

    def __str__(self) -> str:
        return f"{self.plugin} {self.version}"


class Installation(TenantModel):
    """A tenant's enabling of a plugin: which release, with which settings and permissions."""

    id = models.CharField(max_length=40, primary_key=True)
    plugin = models.CharField(max_length=63)
    release = models.ForeignKey(
        Release, on_delete=models.PROTECT, db_index=False, related_name="installations"
    )
    previous = models.ForeignKey(
        Release, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )  # what a roll-back goes back to
    settings = models.JSONField(default=dict)
    secrets = models.BinaryField(null=True)  # settings whose schema says writeOnly, sealed
    permissions = ArrayField(models.CharField(max_length=40), default=list)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "plugin_installation"
        indexes = (models.Index(fields=["tenant", "created_at"], name="installation_tenant"),)
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "plugin"],
                condition=models.Q(removed_at__isnull=True),
                name="installation_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.plugin} for {self.tenant_id}"


class Health(models.Model):
    """How the calls of a release went on one day, over all tenants."""

    id = models.BigAutoField(primary_key=True)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, db_index=False, related_name="+")
    day = models.DateField()
    calls = models.PositiveIntegerField(default=0)
    failures = models.JSONField(default=dict)  # kind → how often
    in_a_row = models.PositiveIntegerField(default=0)
    last_failure = models.CharField(max_length=500, default="", blank=True)
    wall_s = models.FloatField(default=0)
    cpu_s = models.FloatField(default=0)

    class Meta:
        db_table = "plugin_health"
        constraints = (
            models.UniqueConstraint(fields=["release", "day"], name="plugin_health_once"),
        )

    def __str__(self) -> str:
        return f"{self.release_id} {self.day}"


class Reaction(TenantModel):
    """What a plugin is to be told of: queued with the event, gone once it has been told.

    `args` are the hook's, as JSON. One row an event and plugin: `key` names the event.
    """

    id = models.BigAutoField(primary_key=True)
    plugin = models.CharField(max_length=63)
    hook = models.CharField(max_length=40)
    key = models.CharField(max_length=200)
    args = models.JSONField()
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "plugin_reaction"
        indexes = (models.Index(fields=["due_at"], name="plugin_reaction_due"),)
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "plugin", "hook", "key"], name="plugin_reaction_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.plugin}.{self.hook} of {self.key}"
