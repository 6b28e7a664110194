"""Money back to its payer, in the currency it came in. System scope."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal

from django.db.models import Sum

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.books import postings, refund_rounding
from tenants.billing.events import PaymentRefunded
from tenants.billing.locks import payment_locked
from tenants.billing.models import CreditNote, Invoice, Payment, PaymentPart, Refund
from tenants.billing.operators import operators_only, system_only
from tenants.billing.providers import provider_named
from tenants.billing.services.top_ups import top_up_credit
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.chart import AccountKind
from tenants.ledger.models import CreditGrant, LedgerPosting
from tenants.ledger.services import grant_withdraw, transaction_post

ZERO = Decimal(0)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


def payment_refund(*, actor: Actor, payment_id: str, amount: Money, key: str) -> Refund:
    """Send unused credit that a payment bought back to the payer, with the tax taken at top-up.

    `amount` is credit. Where it was taxed at top-up, a credit note on the top-up's invoice tells
    the tax that goes back. A payment of an invoice is given back by a credit note instead. `key`
    is the caller's: a repeated one returns the first refund.
    Raises PermissionDenied, NotFound, Conflict for a key of another refund, InvalidInput for
    another currency, parts of a minor unit, or more than the payment bought and is unused.
    """
    operators_only(actor)
    payment = payment_locked(payment_id, of=actor)
    known = Refund.objects.filter(tenant_id=payment.tenant_id, key=key).first()
    if amount.currency != payment.currency:
        raise InvalidInput(
            f"the payment is in {payment.currency}, not {amount.currency}",
            param="amount",
            code="currency_mismatch",
        )
    if known is not None:
        return _same(known, payment, amount)
    grant = _refundable(payment, amount)
    tax = _tax_back(payment, grant, amount)
    withdrawal = _withdraw(payment, grant, amount, key)
    rounding = _round_tax(payment, withdrawal, tax, grant.jurisdiction)
    note = None
    if grant.tax:
        note = top_up_credit(
            tenant_id=payment.tenant_id,
            payment=payment,
            net=amount.amount,
            tax=tax,
            transactions=[withdrawal, *rounding],
        )
    audit_record(actor=actor, action="payment.refund", target=payment.id)
    return _refund(payment, amount.amount + tax, key, note)


def cash_available(invoice: Invoice, amount: Decimal) -> dict[str, Decimal]:
    """Spread `amount` over the payments of an invoice, the latest first, by provider.

    Raises InvalidInput for more than was paid and not refunded yet.
    """
    found: dict[str, Decimal] = {}
    for payment, taken in _taken(invoice, amount):
        found[payment.provider] = found.get(payment.provider, ZERO) + taken
    if sum(found.values(), ZERO) < amount:
        raise InvalidInput(
            f"{amount} {invoice.currency} is more than was paid on {invoice} and not refunded",
            param="amount",
            code="refund_above_paid",
        )
    return found


def refunds_make(
    *, tenant_id: str, invoice: Invoice, credit_note: CreditNote, cash: Mapping[str, Decimal]
) -> list[Refund]:
    """Send what a credit note gives back to the payers of its invoice."""
    system_only()
    refunds = [
        _refund(payment, taken, f"{credit_note.id}:{payment.id}", credit_note)
        for payment, taken in _taken(invoice, sum(cash.values(), ZERO))
    ]
    if any(refund.tenant_id != tenant_id for refund in refunds):
        raise Conflict("an invoice is refunded to its own tenant only")
    return refunds


def _taken(invoice: Invoice, amount: Decimal) -> list[tuple[Payment, Decimal]]:
    parts = PaymentPart.objects.filter(invoice=invoice).select_related("payment").order_by("-id")
    found = []
    for part in parts:
        gone = sum(
            (
                r.amount
                for r in Refund.objects.filter(payment=part.payment, credit_note__invoice=invoice)
            ),
            ZERO,
        )
        taken = min(amount, part.amount - gone, part.payment.refundable)
        if taken > 0:
            found.append((part.payment, taken))
            amount -= taken
    return found


def _refund(payment: Payment, amount: Decimal, key: str, credit_note: CreditNote | None) -> Refund:
    external = provider_named(payment.provider).refund(payment, amount, key=key)
    refund: Refund = Refund.objects.create(
        id=new_id("rfd_"),
        tenant_id=payment.tenant_id,
        key=key,
        payment=payment,
        credit_note=credit_note,
        amount=amount,
        external_id=external,
    )
    payment.refunded += amount
    payment.save(update_fields=["refunded"])
    emit(
        PaymentRefunded(
            tenant_id=payment.tenant_id,
            payment_id=payment.id,
            refund_id=refund.id,
            amount=amount,
            currency=payment.currency,
        )
    )
    return refund


def _same(known: Refund, payment: Payment, amount: Money) -> Refund:
    """The refund that this key made. Raises Conflict where it was another payment or amount."""
    credit = known.credit_note.net if known.credit_note else known.amount
    if (known.payment_id, credit) != (payment.id, amount.amount):
        raise Conflict(
            f"this key stands for the refund of {Money(credit, known.payment.currency)} of the "
            f"payment {known.payment_id}; another one needs a new key",
            param="key",
            code="key_reused",
        )
    return known


def _refundable(payment: Payment, amount: Money) -> CreditGrant:
    """The credit that a payment bought, of which `amount` is there. Raises InvalidInput."""
    grant = _grant_of(payment)
    left = grant.remaining - grant.held if grant else ZERO
    if grant is None or not 0 < amount.amount <= left:
        raise InvalidInput(
            f"{amount} is not above 0 and within the {left:f} {payment.currency} of unused credit "
            "that this payment bought; what paid an invoice is given back by a credit note",
            param="amount",
            code="refund_above_paid",
        )
    if amount.rounded() != amount:
        raise InvalidInput(
            f"{amount} cannot be sent: {payment.currency} is paid in {amount.rounded()} at best",
            param="amount",
        )
    return grant


def _withdraw(payment: Payment, grant: CreditGrant, amount: Money, key: str) -> str:
    return grant_withdraw(
        tenant_id=payment.tenant_id,
        key=f"refund:{payment.id}:{key}",
        grant_id=grant.id,
        amount=amount,
        source=payment.provider,
    )


def _tax_back(payment: Payment, grant: CreditGrant, amount: Money) -> Decimal:
    """The tax that goes back with `amount`, in minor units: with the last of the credit, the rest
    of the tax.
    """

    def upto(withdrawn: Decimal) -> Decimal:
        tax = _EXACT.divide(_EXACT.multiply(grant.tax, withdrawn), grant.amount)
        return Money(tax, payment.currency).rounded().amount

    return upto(grant.withdrawn + amount.amount) - upto(grant.withdrawn)


def _round_tax(payment: Payment, withdrawal: str, tax: Decimal, jurisdiction: str) -> list[str]:
    """Post what the tax sent back is more, or less, than the ledger's 12 decimals took off."""
    taken = LedgerPosting.objects.filter(
        transaction_id=withdrawal, account__kind=AccountKind.TAX_PAYABLE
    ).aggregate(taken=Sum("amount"))["taken"]
    entries = refund_rounding(
        tax=tax - (taken or ZERO), jurisdiction=jurisdiction, provider=payment.provider
    )
    if not entries:
        return []
    return [
        transaction_post(
            tenant_id=payment.tenant_id,
            key=f"{withdrawal}:rounding",
            kind="rounding",
            postings=postings(entries, payment.currency),
            data={"payment_id": payment.id},
        )
    ]


def _grant_of(payment: Payment) -> CreditGrant | None:
    part = PaymentPart.objects.filter(payment=payment).exclude(grant_id="").first()
    return CreditGrant.objects.filter(pk=part.grant_id).first() if part else None
