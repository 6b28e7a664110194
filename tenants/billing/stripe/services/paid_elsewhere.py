"""Payments that another provider received for invoices that Stripe collects, too. System scope."""

from __future__ import annotations

from tenants.billing.models import Payment, PaymentPart
from tenants.billing.operators import system_only
from tenants.billing.stripe.amounts import collectable, to_stripe
from tenants.billing.stripe.calls import answer_of, call_named, call_queue
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.selectors import invoice_call
from tenants.kernel.money import Money


def invoice_payment_report(*, tenant_id: str, payment_id: str) -> list[StripeCall]:
    """Tell Stripe of what another provider received for invoices that it collects, too."""
    system_only()
    payment: Payment = Payment.objects.get(pk=payment_id, tenant_id=tenant_id)
    if payment.provider == STRIPE:
        return []
    parts = PaymentPart.objects.filter(payment=payment, invoice__isnull=False)
    found = [(part, invoice_call(tenant_id, str(part.invoice_id))) for part in parts.order_by("id")]
    reported = [(part, made) for part, made in found if made is not None and _told(part).amount]
    return [_report(payment, part, made) for part, made in reported]


def _told(part: PaymentPart) -> Money:
    """What of it was on Stripe's invoice: not what is too fine for a card."""
    return collectable(Money(part.amount, part.payment.currency))


def _report(payment: Payment, part: PaymentPart, made: StripeCall) -> StripeCall:
    key = f"{payment.id}:{part.pk}"
    at = int(payment.received_at.timestamp())
    reported = call_queue(
        tenant_id=payment.tenant_id,
        operation="payment_record.report",
        key=key,
        params={
            "amount_requested": {
                "currency": payment.currency.lower(),
                "value": to_stripe(_told(part)),
            },
            "initiated_at": at,
            "outcome": "guaranteed",
            "guaranteed": {"guaranteed_at": at},
            "payment_method_details": {
                "type": "custom",
                "custom": {"display_name": payment.provider},
            },
            "processor_details": {
                "type": "custom",
                "custom": {"payment_reference": payment.external_id},
            },
        },
        after=call_named(payment.tenant_id, "invoice.finalize", made.key),
    )
    return call_queue(
        tenant_id=payment.tenant_id,
        operation="invoice.attach_payment",
        key=key,
        params={"payment_record": answer_of(reported)},
        target=made,
        after=reported,
    )
