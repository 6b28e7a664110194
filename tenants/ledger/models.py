"""Books and wallets. Written by the database's own functions only (`sql/`): no role may insert,
update or delete here, and nobody, the owner included, changes what is append-only.

Amounts have 12 decimals. Docs: docs/decisions/0010-ledger.md.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.fields import amount_field
from tenants.kernel.tenancy import TenantModel
from tenants.ledger.chart import AccountKind, GrantKind


class Wallet(TenantModel):
    """A tenant's money in one currency: credit grants, and what it may owe and owes beyond them.

    `receivable` follows the postings on the tenant's receivable account.
    """

    id = models.BigAutoField(primary_key=True)
    currency = models.CharField(max_length=3)
    credit_limit = amount_field(db_default=0)  # 0: prepaid only
    receivable = amount_field(db_default=0)
    held_postpaid = amount_field(db_default=0)
    tax_rate = models.DecimalField(max_digits=7, decimal_places=6, db_default=0)  # 0.19: 19 %
    tax_jurisdiction = models.CharField(max_length=40, db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "wallet"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "currency"], name="wallet_once"),
            models.CheckConstraint(
                condition=models.Q(credit_limit__gte=0, receivable__gte=0, held_postpaid__gte=0),
                name="wallet_not_below_zero",
            ),
        )

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.currency}"


class CreditGrant(TenantModel):
    """One top-up, promotion or allowance, and what is left of it.

    `remaining` follows the postings on the grant's account. `closed_at`: expired, or withdrawn as a
    whole; money never comes back to it.
    """

    id = models.CharField(max_length=40, primary_key=True)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, db_index=False, related_name="+")
    kind = models.CharField(max_length=16, choices=GrantKind)
    priority = models.IntegerField(db_default=0)  # the lowest is used first, within a kind
    amount = amount_field()
    remaining = amount_field(db_default=0)
    held = amount_field(db_default=0)
    open = models.GeneratedField(
        expression=models.Q(remaining__gt=0),  # type: ignore[arg-type]  # a condition will do
        output_field=models.BooleanField(),
        db_persist=True,
    )
    tax = amount_field(db_default=0)  # taken at top-up, beside `amount`
    tax_included = models.BooleanField(db_default=False)  # taxed at top-up: not taxed when used
    jurisdiction = models.CharField(max_length=40, db_default="")  # of `tax`
    withdrawn = amount_field(db_default=0)
    source = models.CharField(max_length=80)  # "manual", "welcome", a plan's name
    expires_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "credit_grant"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(held__gte=0, remaining__gte=models.F("held")),
                name="credit_grant_not_below_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(remaining__lte=models.F("amount")),
                name="credit_grant_not_above_amount",
            ),
        )
        indexes = (
            models.Index(fields=["tenant", "wallet"], name="credit_grant_tenant"),
            models.Index(
                fields=["wallet"], name="credit_grant_open", condition=models.Q(open=True)
            ),
        )

    def __str__(self) -> str:
        return self.id


class LedgerAccount(TenantModel):
    """One account; `tenant` owns it. Made on first use."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=24, choices=AccountKind)
    ref = models.CharField(max_length=80, db_default="")
    currency = models.CharField(max_length=3)

    class Meta(TenantModel.Meta):
        db_table = "ledger_account"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "kind", "ref", "currency"], name="ledger_account_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.ref} {self.currency}"


class LedgerTransaction(TenantModel):
    """A balanced set of postings, under a key that is its for ever; `tenant` is whom it is about.

    `answer` is what its maker was told, and is told again.
    """

    id = models.CharField(max_length=40, primary_key=True)
    key = models.CharField(max_length=200)
    payload_hash = models.CharField(max_length=64)
    kind = models.CharField(max_length=24)
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    labels = models.JSONField(default=dict)  # whom a charge counts for: api_key_id, model
    data = models.JSONField(default=dict)
    answer = models.JSONField(default=dict)
    reverses = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, db_index=False, related_name="reversals"
    )

    class Meta(TenantModel.Meta):
        db_table = "ledger_transaction"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "key"], name="ledger_transaction_once"),
            models.UniqueConstraint(
                fields=["tenant", "reverses"],
                condition=models.Q(reverses__isnull=False),
                name="ledger_transaction_reversed_once",
            ),
        )
        indexes = (models.Index(fields=["tenant", "occurred_at"], name="ledger_transaction_time"),)

    def __str__(self) -> str:
        return self.id


class LedgerPosting(TenantModel):
    """`amount` on one account: debit positive, credit negative. `tenant` owns the account."""

    id = models.BigAutoField(primary_key=True)
    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, related_name="postings"
    )
    account = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, db_index=False, related_name="postings"
    )
    amount = amount_field()
    currency = models.CharField(max_length=3)

    class Meta(TenantModel.Meta):
        db_table = "ledger_posting"
        indexes = (models.Index(fields=["tenant", "account", "id"], name="ledger_posting_account"),)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Funding(TenantModel):
    """Who paid how much of a charge: a grant, or nobody yet (postpaid). Money that goes back is a
    row below zero that names the row it `returns`.
    """

    id = models.BigAutoField(primary_key=True)
    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, related_name="fundings"
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, db_index=False, related_name="+")
    grant = models.ForeignKey(
        CreditGrant, null=True, on_delete=models.PROTECT, db_index=False, related_name="fundings"
    )
    net = amount_field()
    tax = amount_field()
    jurisdiction = models.CharField(max_length=40, db_default="")
    returns = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, db_index=False, related_name="returned_by"
    )
    returned_to = models.ForeignKey(  # null: less is owed, or a promotion lapsed
        CreditGrant, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )

    class Meta(TenantModel.Meta):
        db_table = "funding"
        indexes = (
            models.Index(fields=["tenant", "wallet", "-id"], name="funding_latest"),
            models.Index(
                fields=["returns"],
                name="funding_returns",
                condition=models.Q(returns__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.net} + {self.tax}"


class Hold(TenantModel):
    """Credit set aside for work to come. `amount` is all that was asked for, tax in it; `drawn` is
    what charges took of it. What is held now are its parts.
    """

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    id = models.CharField(max_length=40, primary_key=True)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, db_index=False, related_name="+")
    key = models.CharField(max_length=200)
    payload_hash = models.CharField(max_length=64)
    amount = amount_field()
    drawn = amount_field(db_default=0)
    state = models.CharField(max_length=8, choices=State, db_default=State.OPEN)
    labels = models.JSONField(default=dict)
    period = models.DateField()  # the month whose budgets it counts in: last placed or extended
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "hold"
        constraints = (models.UniqueConstraint(fields=["tenant", "key"], name="hold_once"),)
        indexes = (
            models.Index(
                fields=["expires_at"], name="hold_expiring", condition=models.Q(state="open")
            ),
        )

    def __str__(self) -> str:
        return self.id


class HoldPart(TenantModel):
    """What an open hold sets aside of one grant, or of what may be owed (no grant)."""

    id = models.BigAutoField(primary_key=True)
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, db_index=False, related_name="parts")
    grant = models.ForeignKey(
        CreditGrant, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    amount = amount_field()

    class Meta(TenantModel.Meta):
        db_table = "hold_part"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "hold", "grant"],
                nulls_distinct=False,
                name="hold_part_once",
            ),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="hold_part_above_zero"),
        )

    def __str__(self) -> str:
        return f"{self.hold_id} {self.amount}"


class Budget(TenantModel):
    """A month's limit, tax in it, of a tenant, one API key or one model.

    Beyond `soft` it is told of once a month; beyond `hard` nothing new is begun.
    """

    class Subject(models.TextChoices):
        TENANT = "tenant"
        API_KEY = "api_key"
        MODEL = "model"

    id = models.CharField(max_length=40, primary_key=True)
    subject = models.CharField(max_length=8, choices=Subject)
    ref = models.CharField(max_length=200, db_default="")  # the API key's id, the model's name
    currency = models.CharField(max_length=3)
    soft = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    hard = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    created_at = models.DateTimeField(db_default=Now())
    archived_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "budget"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "currency", "subject", "ref"],
                condition=models.Q(archived_at__isnull=True),
                name="budget_once",
            ),
        )
        indexes = (models.Index(fields=["tenant", "created_at"], name="budget_tenant"),)

    def __str__(self) -> str:
        return self.id


class BudgetSpend(TenantModel):
    """What counts for a budget in one month: charged, and set aside by holds."""

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(
        Budget, on_delete=models.PROTECT, db_index=False, related_name="spends"
    )
    period = models.DateField()  # the month's first day, UTC
    spent = amount_field(db_default=0)
    held = amount_field(db_default=0)
    passed_at = models.DateTimeField(null=True)  # when `budget.passed` was told

    class Meta(TenantModel.Meta):
        db_table = "budget_spend"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "budget", "period"], name="budget_spend_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.budget_id} {self.period}"
