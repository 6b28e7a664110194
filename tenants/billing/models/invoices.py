"""Invoices, their lines and taxes, credit notes, and the numbers that leave no gap."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now

from tenants.billing.models.statements import ExactField, Statement
from tenants.billing.states import InvoiceState
from tenants.kernel.tenancy import TenantModel


class DocumentNumber(models.Model):
    """The last number given out of a series ("invoice", "credit_note") in a year.

    Locked while the document it numbers is written, so that no number is missing or double.
    """

    id = models.BigAutoField(primary_key=True)
    series = models.CharField(max_length=20)
    year = models.PositiveIntegerField()
    last = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "document_number"
        constraints = (
            models.UniqueConstraint(fields=["series", "year"], name="document_number_series"),
        )

    def __str__(self) -> str:
        return f"{self.series} {self.year}: {self.last}"


class Invoice(TenantModel):
    """A legal document: what a period or a top-up came to, what credit settled, what is owed.

    In whole minor units: `net + tax = total`, `total - allowance - promotion - prepaid +
    brought_forward = due`, and what is left to pay is `due - paid - credited`.
    """

    class Kind(models.TextChoices):
        USAGE = "usage"  # a statement's
        TOP_UP = "top_up"  # prepaid credit whose tax is taken at top-up

    id = models.CharField(max_length=40, primary_key=True)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.USAGE)
    statement = models.ForeignKey(
        Statement, null=True, on_delete=models.PROTECT, related_name="invoices"
    )
    number = models.CharField(max_length=40, default="", blank=True)  # given when it opens
    currency = models.CharField(max_length=3)
    period = models.DateField()
    state = models.CharField(max_length=16, choices=InvoiceState, default=InvoiceState.DRAFT)
    net = ExactField(default=0)
    tax = ExactField(default=0)
    total = ExactField(default=0)
    allowance = ExactField(default=0)
    promotion = ExactField(default=0)
    prepaid = ExactField(default=0)
    prepaid_untaxed = ExactField(default=0)  # the part of `prepaid` whose tax was paid at top-up
    brought_forward = ExactField(default=0)
    due = ExactField(default=0)
    paid = ExactField(default=0)
    credited = ExactField(default=0)  # by credit notes, of what was due
    seller = models.JSONField(default=dict)  # both as they were when it was issued
    customer = models.JSONField(default=dict)
    reverse_charge = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    issued_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    paid_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "invoice"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "number"],
                name="invoice_number_once",
                condition=~models.Q(number=""),
            ),
            models.UniqueConstraint(
                fields=["tenant", "statement"],
                name="invoice_once_a_statement",
                condition=models.Q(statement__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(due__gte=0) & models.Q(paid__gte=0) & models.Q(credited__gte=0),
                name="invoice_never_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(due__gte=models.F("paid") + models.F("credited")),
                name="invoice_never_overpaid",
            ),
        )
        indexes = (
            models.Index(fields=["tenant", "-created_at"], name="invoice_tenant"),
            models.Index(
                fields=["due_at"],
                name="invoice_owed",
                condition=models.Q(state=InvoiceState.OPEN),
            ),
        )

    def __str__(self) -> str:
        return self.number or self.id

    @property
    def remaining(self) -> Decimal:
        """What is left to pay."""
        left: Decimal = self.due - self.paid - self.credited
        return left

    @property
    def reference(self) -> str:
        """What a bank transfer for this invoice should say."""
        return self.number


class InvoiceLine(TenantModel):
    """One line. `exact` is the rated amount, `net` what the document says; `data` explains it."""

    id = models.CharField(max_length=40, primary_key=True)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)  # usage, plan, commitment, quote_cap, waiver …
    description = models.CharField(max_length=300)
    period = models.DateField()  # an earlier month's for what came late
    meter = models.CharField(max_length=60, default="", blank=True)
    price_key = models.CharField(max_length=300, default="", blank=True)
    price_version = models.CharField(max_length=40, default="", blank=True)
    revenue = models.CharField(max_length=40)  # line of revenue in the ledger
    quantity = ExactField(null=True)
    unit = models.CharField(max_length=30, default="", blank=True)
    exact = ExactField()
    net = ExactField()
    data = models.JSONField(default=dict)

    class Meta(TenantModel.Meta):
        db_table = "invoice_line"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "invoice", "position"], name="invoice_line_position"
            ),
        )

    def __str__(self) -> str:
        return f"{self.description} {self.net}"


class InvoiceTax(TenantModel):
    """Tax of one rate: `amount` = `base` x `rate`, rounded once."""

    id = models.BigAutoField(primary_key=True)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="taxes")
    jurisdiction = models.CharField(max_length=40)
    rate = models.DecimalField(max_digits=9, decimal_places=6)
    base = ExactField()
    amount = ExactField()

    class Meta(TenantModel.Meta):
        db_table = "invoice_tax"
        indexes = (models.Index(fields=["tenant", "invoice"], name="invoice_tax_tenant"),)

    def __str__(self) -> str:
        return f"{self.jurisdiction} {self.rate}"


class CreditNote(TenantModel):
    """Money of an invoice given back: off what is owed, into the wallet, or to the payer."""

    class To(models.TextChoices):
        INVOICE = "invoice"
        WALLET = "wallet"
        PAYER = "payer"

    id = models.CharField(max_length=40, primary_key=True)
    key = models.CharField(max_length=120)  # the caller's, so that a repeated call gives one note
    number = models.CharField(max_length=40)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    reason = models.CharField(max_length=300)
    to = models.CharField(max_length=16, choices=To)
    net = ExactField()
    tax = ExactField()
    total = ExactField()
    parts = models.JSONField(default=dict)  # how much of what settled the invoice goes back
    transactions = models.JSONField(default=list)
    issued_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "credit_note"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "key"], name="credit_note_once"),
            models.UniqueConstraint(fields=["tenant", "number"], name="credit_note_number_once"),
        )

    def __str__(self) -> str:
        return self.number


class CreditNoteLine(TenantModel):
    """How much of one invoice line a credit note gives back, net."""

    id = models.BigAutoField(primary_key=True)
    credit_note = models.ForeignKey(CreditNote, on_delete=models.PROTECT, related_name="lines")
    invoice_line = models.ForeignKey(
        InvoiceLine, on_delete=models.PROTECT, related_name="credit_note_lines"
    )
    net = ExactField()

    class Meta(TenantModel.Meta):
        db_table = "credit_note_line"
        indexes = (models.Index(fields=["tenant", "credit_note"], name="credit_note_line_tenant"),)

    def __str__(self) -> str:
        return f"{self.invoice_line_id} {self.net}"
