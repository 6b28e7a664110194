"""Row locks of billing. The wallet first, which orders everything about one tenant's money; then
statements, invoices and payments, each by primary key.
"""

from __future__ import annotations

from tenants.accounts.actors import Actor
from tenants.billing.models import Invoice, Payment, Statement
from tenants.kernel.errors import NotFound
from tenants.ledger.services import wallet_lock


def statement_locked(statement_id: str, *, of: Actor) -> Statement:
    """Lock a statement of the actor's tenant and its wallet. Raises NotFound."""
    rows = Statement.objects.filter(pk=statement_id, tenant_id=of.tenant_id)
    row: Statement | None = rows.first()
    if row is None:
        raise NotFound(f"no statement {statement_id!r}", param="statement_id")
    wallet_lock(tenant_id=row.tenant_id, currency=row.currency)
    locked: Statement = Statement.objects.select_for_update().get(pk=statement_id)
    return locked


def invoice_locked(invoice_id: str, *, of: Actor) -> Invoice:
    """Lock an invoice of the actor's tenant and its wallet. Raises NotFound."""
    rows = Invoice.objects.filter(pk=invoice_id, tenant_id=of.tenant_id)
    row: Invoice | None = rows.first()
    if row is None:
        raise NotFound(f"no invoice {invoice_id!r}", param="invoice_id")
    wallet_lock(tenant_id=row.tenant_id, currency=row.currency)
    locked: Invoice = Invoice.objects.select_for_update().get(pk=invoice_id)
    return locked


def payment_locked(payment_id: str, *, of: Actor) -> Payment:
    """Lock a payment of the actor's tenant and its wallet. Raises NotFound."""
    rows = Payment.objects.filter(pk=payment_id, tenant_id=of.tenant_id)
    row: Payment | None = rows.first()
    if row is None:
        raise NotFound(f"no payment {payment_id!r}", param="payment_id")
    wallet_lock(tenant_id=row.tenant_id, currency=row.currency)
    locked: Payment = Payment.objects.select_for_update().get(pk=payment_id)
    return locked
