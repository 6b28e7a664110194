"""Chasing what is overdue, and reconciling what the bank says, end to end."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.accounts.models import Tenant
from tenants.accounts.standing import tenant_suspend
from tenants.billing.manual.references import top_up_reference
from tenants.billing.models import BankTransfer, DunningStep, Invoice
from tenants.billing.providers import provider_named
from tenants.billing.services.bank_transfers import (
    Imported,
    bank_transfer_assign,
    bank_transfers_import,
)
from tenants.billing.services.dunning import dunning_advance
from tenants.billing.services.payments import payment_receive
from tenants.billing.states import InvoiceState
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tests.tenants.billing.factories import (
    APRIL,
    MARCH,
    book,
    customer,
    invoice_of,
    on,
    operator_of,
    stated,
    used,
)

pytestmark = pytest.mark.django_db
D = Decimal
DEAR = {"model": "standard", "unit": "0.01"}


def owing() -> tuple[str, Invoice]:
    """A tenant that owes 100.00 for March."""
    tenant_id = customer(book_id=book(DEAR))
    used(tenant_id, "a", 10_000, on(MARCH, 3))
    return tenant_id, stated(tenant_id, MARCH)


def standing(tenant_id: str) -> str:
    with system_scope():
        return str(Tenant.objects.get(pk=tenant_id).status)


def chase(tenant_id: str, invoice: Invoice, days: float) -> int:
    assert invoice.due_at is not None
    return dunning_advance(now=invoice.due_at + dt.timedelta(days=days), tenant_id=tenant_id)


def test_reminders_then_suspension_then_closing() -> None:
    tenant_id, invoice = owing()
    assert chase(tenant_id, invoice, 0.5) == 0
    for days in (1, 1, 7, 14):
        chase(tenant_id, invoice, days)
    assert standing(tenant_id) == Tenant.Status.ACTIVE
    assert chase(tenant_id, invoice, 21) == 1
    assert standing(tenant_id) == Tenant.Status.SUSPENDED
    assert chase(tenant_id, invoice, 59) == 0
    assert chase(tenant_id, invoice, 60) == 1
    assert standing(tenant_id) == Tenant.Status.CLOSED
    with system_scope():
        steps = DunningStep.objects.filter(invoice=invoice).order_by("id")
        assert [(s.step, s.day) for s in steps] == [
            ("remind", 1), ("remind", 7), ("remind", 14), ("suspend", 21), ("close", 60),
        ]  # fmt: skip
        told = OutboxEvent.objects.filter(tenant_id=tenant_id, name="invoice.reminded")
        assert [row.payload["day"] for row in told.order_by("id")] == [1, 7, 14]


def test_hundreds_who_are_chased_to_the_end_do_not_hide_a_later_debtor() -> None:
    tenant_id, invoice = owing()
    assert invoice.due_at is not None
    older = invoice.due_at - dt.timedelta(days=1)
    with system_scope():
        Invoice.objects.bulk_create(  # open, and nothing left to chase
            Invoice(
                id=f"inv_{n}", tenant_id=tenant_id, currency="USD", number=f"X{n}",
                period=invoice.period, state=InvoiceState.OPEN, due_at=older,
            )
            for n in range(500)
        )  # fmt: skip
    assert dunning_advance(now=invoice.due_at + dt.timedelta(days=8)) == 1
    with system_scope():
        assert DunningStep.objects.get().invoice_id == invoice.id


def test_payment_lifts_the_suspension_at_once() -> None:
    tenant_id, invoice = owing()
    chase(tenant_id, invoice, 14)
    chase(tenant_id, invoice, 21)
    with system_scope():
        for amount, expected in (("60", "suspended"), ("40", "active")):
            payment_receive(
                actor=operator_of(tenant_id),
                provider="manual",
                external_id=amount,
                amount=Money.of(amount, "USD"),
                invoice_id=invoice.id,
            )
            assert Tenant.objects.get(pk=tenant_id).status == expected


def test_an_operators_own_suspension_stays() -> None:
    tenant_id, invoice = owing()
    with system_scope():
        tenant_suspend(actor=operator_of(tenant_id), reason="abuse")
        payment_receive(
            actor=operator_of(tenant_id),
            provider="manual",
            external_id="1",
            amount=Money.of("100", "USD"),
            invoice_id=invoice.id,
        )
    assert standing(tenant_id) == Tenant.Status.SUSPENDED


def bank(tenant_id: str, *lines: str) -> Imported:
    content = "date,amount,currency,reference,payer,bank_id\n" + "\n".join(lines)
    with system_scope():
        return bank_transfers_import(actor=operator_of(tenant_id), content=content.encode())


def test_transfers_are_matched_in_part_in_full_beyond_and_as_top_ups() -> None:
    tenant_id, invoice = owing()
    number = invoice.number
    found = bank(
        tenant_id,
        f"2026-04-06,30.00,USD,{number},Acme,B1",
        f"2026-04-07,90.00,USD,invoice {number.lower()},Acme,B2",
        f"2026-04-08,50.00,USD,{top_up_reference(tenant_id)},Acme,B3",
    )
    assert found == Imported(matched=3, unmatched=0, known=0)
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.PAID
    with system_scope():
        balance = wallet_balance(tenant_id=tenant_id, currency="USD")
        assert (balance.credit.amount, balance.owed.amount) == (70, 0)
    assert bank(tenant_id, f"2026-04-06,30.00,USD,{number},Acme,B1") == Imported(0, 0, 1)


def test_what_nobody_recognises_waits_for_an_operator() -> None:
    tenant_id, invoice = owing()
    found = bank(
        tenant_id,
        "2026-04-06,100.00,USD,hello,Acme,B1",
        f"2026-04-06,100.00,EUR,{invoice.number},Acme,B2",
        "2026-04-06,100.00,USD,BW-2026-999999,Acme,B3",
    )
    assert found == Imported(matched=0, unmatched=3, known=0)
    with system_scope():
        rows = {row.bank_id: row for row in BankTransfer.objects.all()}
        assert "no invoice or top-up" in rows["B1"].why
        assert "is in USD" in rows["B2"].why
        assert "there is no invoice" in rows["B3"].why
        assign = {"actor": operator_of(tenant_id), "tenant_id": tenant_id}
        with pytest.raises(InvalidInput) as raised:
            bank_transfer_assign(**assign, transfer_id=rows["B2"].id, invoice_number=invoice.number)
        assert raised.value.code == "currency_mismatch"
        bank_transfer_assign(**assign, transfer_id=rows["B1"].id, invoice_number=invoice.number)
        with pytest.raises(Conflict):
            bank_transfer_assign(**assign, transfer_id=rows["B1"].id)
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.PAID


def test_a_bank_id_never_means_two_things_and_a_faulty_file_takes_nothing() -> None:
    tenant_id, invoice = owing()
    bank(tenant_id, f"2026-04-06,30.00,USD,{invoice.number},Acme,B1")
    with pytest.raises(Conflict, match="other contents"):
        bank(tenant_id, f"2026-04-06,31.00,USD,{invoice.number},Acme,B1")
    with pytest.raises(InvalidInput, match="line 3"):
        bank(tenant_id, f"2026-04-06,30.00,USD,{invoice.number},Acme,B2", "x,1,USD,,,B3")
    assert invoice_of(tenant_id, MARCH).remaining == 70


def test_the_manual_provider_says_how_to_pay_and_what_it_received() -> None:
    tenant_id, invoice = owing()
    bank(tenant_id, f"2026-04-06,30.00,USD,{invoice.number},Acme,B1")
    provider = provider_named("manual")
    with system_scope():
        invoice = Invoice.objects.get(pk=invoice.id)
        collection = provider.collect(invoice)
        (receipt,) = provider.receipts(invoice)
    assert collection.reference == invoice.number
    assert "Amount: 70.00 USD" in collection.instructions
    assert (receipt.external_id, receipt.amount) == ("B1", 30)
    with pytest.raises(InvalidInput, match="unknown provider"):
        provider_named("pigeon")


def test_late_money_on_a_later_month_does_not_hide_the_earlier_debt() -> None:
    tenant_id, _ = owing()
    used(tenant_id, "b", 5000, on(APRIL, 3))
    later = stated(tenant_id, APRIL)
    bank(tenant_id, f"2026-05-06,50.00,USD,{later.number},Acme,B1")
    assert invoice_of(tenant_id, APRIL).state == InvoiceState.PAID
    assert invoice_of(tenant_id, MARCH).remaining == 100
