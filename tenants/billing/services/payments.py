"""Money that came in: onto an invoice, the rest as prepaid credit. System scope."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.billing.events import PaymentReceived
from tenants.billing.locks import invoice_locked
from tenants.billing.models import Invoice, Payment, PaymentPart
from tenants.billing.operators import operators_only
from tenants.billing.selectors.tax import person_of, tax_profile, tax_treatment
from tenants.billing.services.dunning import tenant_relieve
from tenants.billing.services.invoices import invoice_settle, require_payable
from tenants.billing.services.top_ups import top_up_invoice
from tenants.billing.taxation import NONE, TopUp, Treatment, top_up_of_payment
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.chart import GrantKind
from tenants.ledger.services import grant_issue, wallet_change, wallet_lock

ZERO = Decimal(0)
CLOCK_TOLERANCE = dt.timedelta(minutes=5)  # how far a sender's clock may run ahead of ours


def payment_receive(
    *,
    actor: Actor,
    provider: str,
    external_id: str,
    amount: Money,
    invoice_id: str = "",
    payer: str = "",
    received_at: dt.datetime | None = None,
) -> Payment:
    """Take a payment of the actor's tenant. Without `invoice_id` it is a top-up.

    What is paid beyond what is left of the invoice becomes prepaid credit. `external_id` is the
    provider's: the same payment is taken once. An open suspension for lack of payment ends here.
    Raises PermissionDenied, NotFound, InvalidInput for another currency, parts of a minor unit or a
    time to come, Conflict for an invoice that takes no payment, or an `external_id` of another
    payment (of another amount, or, where a person repeats it, not of this invoice).
    """
    operators_only(actor)
    at = received_at or clock_now()
    _check(amount, external_id, at)
    wallet_lock(tenant_id=actor.tenant_id, currency=amount.currency)
    known = Payment.objects.filter(
        tenant_id=actor.tenant_id, provider=provider, external_id=external_id
    ).first()
    if known is not None:
        return _same(known, amount, invoice_id, actor)
    invoice = _payable(actor, invoice_id, amount.currency) if invoice_id else None
    payment: Payment = Payment.objects.create(
        id=new_id("pay_"),
        tenant_id=actor.tenant_id,
        provider=provider,
        external_id=external_id,
        currency=amount.currency,
        amount=amount.amount,
        payer=payer[:200],
        received_at=at,
    )
    left = amount.amount
    if invoice is not None:
        left -= _onto_invoice(payment, invoice, at)
    if left:
        _into_credit(payment, left, at, is_top_up=invoice is None)
    _tell(actor, payment)
    tenant_relieve(tenant_id=actor.tenant_id)
    return payment


def _check(amount: Money, external_id: str, at: dt.datetime) -> None:
    if amount.amount <= 0 or amount.rounded() != amount:
        raise InvalidInput(
            f"a payment is above 0 and in whole minor units, not {amount}", param="amount"
        )
    if not 1 <= len(external_id) <= 120:
        raise InvalidInput("a payment has a name of 1 to 120 characters", param="external_id")
    if at > clock_now() + CLOCK_TOLERANCE:
        raise InvalidInput(
            f"a payment is taken when it is there, not before {at.isoformat()}",
            param="received_at",
        )


def _same(known: Payment, amount: Money, invoice_id: str, actor: Actor) -> Payment:
    if (known.amount, known.currency) != (amount.amount, amount.currency):
        raise Conflict(
            f"{known.external_id} was a payment of {known.amount:f} {known.currency}",
            param="external_id",
            code="payment_conflict",
        )
    # a provider's own repetition knows no invoice that the payment has come too late for
    told = actor.kind is not ActorKind.SYSTEM and invoice_id
    if told and not known.parts.filter(invoice=invoice_id).exists():
        raise Conflict(
            f"{known.external_id} was taken before, and not for this invoice",
            param="invoice_id",
            code="payment_conflict",
        )
    return known


def _payable(actor: Actor, invoice_id: str, currency: str) -> Invoice:
    invoice = invoice_locked(invoice_id, of=actor)
    if invoice.currency != currency:
        raise InvalidInput(
            f"the invoice {invoice} is in {invoice.currency}; a payment in {currency} cannot "
            "settle it",
            param="amount",
            code="currency_mismatch",
        )
    require_payable(invoice)
    return invoice


def _onto_invoice(payment: Payment, invoice: Invoice, at: dt.datetime) -> Decimal:
    applied: Decimal = min(payment.amount, invoice.remaining)
    transaction = invoice_settle(
        tenant_id=payment.tenant_id,
        invoice=invoice,
        amount=applied,
        key=f"payment:{payment.id}",
        source=f"{payment.provider}:{payment.id}",
        at=at,
    )
    PaymentPart.objects.create(
        tenant_id=payment.tenant_id,
        payment=payment,
        invoice=invoice,
        amount=applied,
        transaction_id=transaction,
    )
    return applied


def _into_credit(payment: Payment, amount: Decimal, at: dt.datetime, *, is_top_up: bool) -> None:
    """Prepaid credit; of a tenant whose tax arises at top-up, less the tax that is in it.

    What was paid too much on an invoice is taxed when it is used, like any credit.
    """
    profile = tax_profile(payment.tenant_id)
    treated = tax_treatment(profile, at=at) if is_top_up else NONE
    bought = top_up_of_payment(amount, treated, person_of(profile), payment.currency)
    grant_id = _grant(payment, bought, treated)
    PaymentPart.objects.create(
        tenant_id=payment.tenant_id, payment=payment, amount=amount, grant_id=grant_id
    )
    if bought.tax:
        top_up_invoice(
            tenant_id=payment.tenant_id, payment=payment, bought=bought, treated=treated, at=at
        )


def _grant(payment: Payment, bought: TopUp, treated: Treatment) -> str:
    if bought.tax:  # the ledger books it under the wallet's jurisdiction
        wallet_change(
            tenant_id=payment.tenant_id,
            currency=payment.currency,
            tax_rate=treated.rate,
            tax_jurisdiction=treated.jurisdiction,
        )
    return grant_issue(
        tenant_id=payment.tenant_id,
        key=f"payment:{payment.id}:credit",
        kind=GrantKind.PAID,
        amount=Money(bought.credit, payment.currency),
        tax=Money(bought.tax, payment.currency),
        tax_included=bought.tax > 0,
        source=f"{payment.provider}:{payment.id}",
    )


def _tell(actor: Actor, payment: Payment) -> None:
    audit_record(
        actor=actor,
        action="payment.receive",
        target=payment.id,
        data={"amount": f"{payment.amount:f}", "currency": payment.currency},
    )
    emit(
        PaymentReceived(
            tenant_id=payment.tenant_id,
            payment_id=payment.id,
            provider=payment.provider,
            amount=payment.amount,
            currency=payment.currency,
        )
    )
