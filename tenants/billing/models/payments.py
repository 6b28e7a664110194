"""Money that came in or went back, and the steps taken where none came."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now

from tenants.billing.dunning import Step
from tenants.billing.models.invoices import CreditNote, Invoice
from tenants.billing.models.statements import ExactField
from tenants.kernel.tenancy import TenantModel


class Payment(TenantModel):
    """An amount that a provider received. `external_id` is the provider's name for it."""

    id = models.CharField(max_length=40, primary_key=True)
    provider = models.CharField(max_length=20)
    external_id = models.CharField(max_length=120)
    currency = models.CharField(max_length=3)
    amount = ExactField()
    refunded = ExactField(default=0)
    payer = models.CharField(max_length=200, default="", blank=True)
    received_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "payment"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "provider", "external_id"], name="payment_once"
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0)
                & models.Q(refunded__gte=0)
                & models.Q(amount__gte=models.F("refunded")),
                name="payment_amounts",
            ),
        )
        indexes = (models.Index(fields=["tenant", "-received_at"], name="payment_tenant"),)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} by {self.provider}"

    @property
    def refundable(self) -> Decimal:
        left: Decimal = self.amount - self.refunded
        return left


class PaymentPart(TenantModel):
    """What a payment went to: an invoice, or, where none is named, credit (`grant_id`)."""

    id = models.BigAutoField(primary_key=True)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="parts")
    invoice = models.ForeignKey(
        Invoice, null=True, on_delete=models.PROTECT, related_name="payment_parts"
    )
    amount = ExactField()
    grant_id = models.CharField(max_length=40, default="", blank=True)
    transaction_id = models.CharField(max_length=40, default="", blank=True)

    class Meta(TenantModel.Meta):
        db_table = "payment_part"
        indexes = (models.Index(fields=["tenant", "payment"], name="payment_part_tenant"),)

    def __str__(self) -> str:
        return f"{self.amount} to {self.invoice_id or self.grant_id}"


class Refund(TenantModel):
    """Part of a payment sent back to the payer."""

    id = models.CharField(max_length=40, primary_key=True)
    key = models.CharField(max_length=120)  # the caller's
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    credit_note = models.ForeignKey(
        CreditNote, null=True, on_delete=models.PROTECT, related_name="refunds"
    )
    amount = ExactField()
    external_id = models.CharField(max_length=120, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "refund"
        constraints = (models.UniqueConstraint(fields=["tenant", "key"], name="refund_once"),)
        indexes = (models.Index(fields=["tenant", "payment"], name="refund_tenant"),)

    def __str__(self) -> str:
        return f"{self.amount} of {self.payment_id}"


class BankTransfer(models.Model):
    """One line of a bank statement; `tenant_id` is empty while nobody knows whose it is."""

    class State(models.TextChoices):
        MATCHED = "matched"
        UNMATCHED = "unmatched"  # waits for an operator to assign it

    id = models.CharField(max_length=40, primary_key=True)
    bank_id = models.CharField(max_length=120, unique=True)  # the bank's own, once for ever
    payload_hash = models.CharField(max_length=64)
    booked_on = models.DateField()
    amount = ExactField()
    currency = models.CharField(max_length=3)
    reference = models.CharField(max_length=300, default="", blank=True)
    payer = models.CharField(max_length=200, default="", blank=True)
    state = models.CharField(max_length=16, choices=State)
    why = models.CharField(max_length=300, default="", blank=True)  # it is unmatched
    tenant_id = models.CharField(max_length=40, default="", blank=True)
    payment_id = models.CharField(max_length=40, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "bank_transfer"
        indexes = (models.Index(fields=["state", "booked_on"], name="bank_transfer_state"),)

    def __str__(self) -> str:
        return f"{self.booked_on} {self.amount} {self.currency}"


class DunningStep(TenantModel):
    """A step taken for an unpaid invoice, once for each day of the schedule."""

    id = models.BigAutoField(primary_key=True)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="dunning_steps")
    step = models.CharField(max_length=16, choices=Step)
    day = models.PositiveIntegerField()
    taken_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "dunning_step"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "invoice", "step", "day"], name="dunning_step_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.step} {self.invoice_id}"
