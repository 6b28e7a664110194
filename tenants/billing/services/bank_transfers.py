"""Reconciling a bank's list of transfers with invoices and top-ups. By operators, system scope."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import Tenant
from tenants.billing.manual.bank_csv import Transfer, transfers_read
from tenants.billing.manual.references import numbers_in, top_up_tenant
from tenants.billing.models import BankTransfer, Invoice
from tenants.billing.operators import operators_only
from tenants.billing.providers import MANUAL
from tenants.billing.services.payments import payment_receive
from tenants.billing.states import PAYABLE
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money

MATCHED, UNMATCHED = BankTransfer.State.MATCHED, BankTransfer.State.UNMATCHED


@dataclass(frozen=True)
class Imported:
    """How many transfers of a file were matched, kept for an operator, or known before."""

    matched: int
    unmatched: int
    known: int


@dataclass(frozen=True)
class _Match:
    """Whose a transfer is, and for which invoice (none: a top-up); or `why` nobody knows."""

    tenant_id: str = ""
    invoice_id: str = ""
    why: str = ""


def bank_transfers_import(*, actor: Actor, content: bytes) -> Imported:
    """Take a bank's CSV, all of it or nothing; a transfer that came before counts once.

    Partial payments, several for one invoice, and payments beyond it are taken. What no reference
    matches waits for `bank_transfer_assign`. Raises PermissionDenied, InvalidInput that names
    faulty lines, Conflict where a bank id came before with other contents.
    """
    operators_only(actor)
    transfers = {transfer.bank_id: transfer for transfer in transfers_read(content)}
    counts = Counter(_take(actor, transfers[bank_id]) for bank_id in sorted(transfers))
    found = Imported(counts[MATCHED], counts[UNMATCHED], counts["known"])
    audit_record(actor=actor, action="bank_transfers.import", target=MANUAL, data=vars(found))
    return found


def bank_transfer_assign(
    *, actor: Actor, transfer_id: str, tenant_id: str, invoice_number: str = ""
) -> BankTransfer:
    """Say whose an unmatched transfer is, and for which invoice; without one it is a top-up.

    Raises PermissionDenied, NotFound, Conflict for one that was matched, or an invoice that takes
    no payment, InvalidInput for another currency.
    """
    operators_only(actor)
    row = BankTransfer.objects.select_for_update().filter(pk=transfer_id).first()
    if row is None:
        raise NotFound(f"no bank transfer {transfer_id!r}", param="transfer_id")
    if row.state == MATCHED:
        raise Conflict("this transfer was matched before", code="transfer_matched")
    invoice = _invoice(invoice_number, tenant_id) if invoice_number else None
    if not Tenant.objects.filter(pk=tenant_id).exists():
        raise NotFound(f"no organisation {tenant_id!r}", param="tenant_id")
    _pay(row, _Match(tenant_id=tenant_id, invoice_id=invoice.id if invoice else ""))
    audit_record(
        actor=actor, action="bank_transfer.assign", target=row.id, data={"tenant_id": tenant_id}
    )
    return row


def _take(actor: Actor, transfer: Transfer) -> str:
    known = BankTransfer.objects.select_for_update().filter(bank_id=transfer.bank_id).first()
    if known is not None:
        if known.payload_hash != transfer.payload_hash:
            raise Conflict(
                f"the bank id {transfer.bank_id!r} came before with other contents",
                param="file",
                code="bank_id_conflict",
            )
        return "known"
    del actor
    match = _match(transfer)
    row = BankTransfer.objects.create(
        id=new_id("bank_"),
        bank_id=transfer.bank_id,
        payload_hash=transfer.payload_hash,
        booked_on=transfer.date,
        amount=transfer.amount,
        currency=transfer.currency,
        reference=transfer.reference,
        payer=transfer.payer,
        state=UNMATCHED,
        why=match.why,
    )
    if match.why:
        return str(UNMATCHED)
    _pay(row, match)
    return str(MATCHED)


def _match(transfer: Transfer) -> _Match:
    """By invoice number first, then by a tenant's top-up reference."""
    numbers = numbers_in(transfer.reference, settings.INVOICE_PREFIX)
    if len(numbers) > 1:
        return _Match(why=f"names several invoices: {', '.join(numbers)}")
    if numbers:
        return _of_invoice(numbers[0], transfer)
    tenant_id = top_up_tenant(transfer.reference)
    if tenant_id and Tenant.objects.filter(pk=tenant_id).exists():
        return _Match(tenant_id=tenant_id)
    return _Match(why="no invoice or top-up reference was recognised")


def _of_invoice(number: str, transfer: Transfer) -> _Match:
    invoice: Invoice | None = Invoice.objects.filter(number=number).first()
    if invoice is None:
        return _Match(why=f"there is no invoice {number}")
    if invoice.currency != transfer.currency:
        return _Match(why=f"{number} is in {invoice.currency}")
    if invoice.state not in PAYABLE:
        return _Match(why=f"{number} is {invoice.state}")
    return _Match(tenant_id=invoice.tenant_id, invoice_id=invoice.id)


def _pay(row: BankTransfer, match: _Match) -> None:
    at = dt.datetime.combine(row.booked_on, dt.time(12), tzinfo=dt.UTC)
    payment = payment_receive(
        actor=system_actor(match.tenant_id),
        provider=MANUAL,
        external_id=row.bank_id,
        amount=Money(Decimal(row.amount), row.currency),
        invoice_id=match.invoice_id,
        payer=row.payer,
        received_at=min(at, clock_now()),
    )
    row.state, row.why = MATCHED, ""
    row.tenant_id, row.payment_id = payment.tenant_id, payment.id
    row.save(update_fields=["state", "why", "tenant_id", "payment_id"])


def _invoice(number: str, tenant_id: str) -> Invoice:
    invoice: Invoice | None = Invoice.objects.filter(number=number, tenant_id=tenant_id).first()
    if invoice is None:
        raise InvalidInput(f"{tenant_id} has no invoice {number!r}", param="invoice_number")
    return invoice
