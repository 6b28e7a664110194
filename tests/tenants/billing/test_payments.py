"""Payments, credit notes, refunds, write-offs and voids: what they do, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tenants.billing.models import CreditNote, Invoice, InvoiceLine, Payment, Refund
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.invoices import invoice_void, invoice_write_off
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.refunds import payment_refund
from tenants.billing.services.tax import NewProfile, tax_profile_set, tax_rate_set, taxes_apply
from tenants.billing.states import InvoiceState
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.selectors import unbalanced, wallet_balance
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.tenants.billing.factories import (
    APRIL,
    MARCH,
    book,
    customer,
    granted,
    invoice_of,
    on,
    operator_of,
    receivable,
    stated,
    sum_of,
    used,
)

pytestmark = pytest.mark.django_db
D = Decimal
DEAR = {"model": "standard", "unit": "0.01"}


@pytest.fixture(autouse=True)
def _books_agree(_django_db_helper: None) -> Iterator[None]:
    yield
    with system_scope():
        assert list(unbalanced()) == []
        assert list(projections_wrong()) == []


def owing(units: int = 10_000, **terms: Any) -> tuple[str, Invoice]:
    """A tenant that owes `units` cents for March."""
    tenant_id = customer(book_id=book(DEAR), **terms)
    used(tenant_id, "a", units, on(MARCH, 3))
    return tenant_id, stated(tenant_id, MARCH)


def pay(tenant_id: str, sum_: str, invoice: Invoice | None = None, **more: Any) -> Payment:
    with system_scope():
        return payment_receive(
            **{
                "actor": operator_of(tenant_id),
                "provider": "manual",
                "external_id": new_id("b-"),
                "amount": Money.of(sum_, "USD"),
                "invoice_id": invoice.id if invoice else "",
                **more,
            },
        )


def credit(invoice: Invoice, to: str, net: str | None = None, key: str = "k") -> CreditNote:
    with system_scope():
        line = InvoiceLine.objects.filter(invoice=invoice).first()
        return credit_note_issue(
            actor=operator_of(invoice.tenant_id),
            invoice_id=invoice.id,
            key=key,
            reason="complaint",
            to=to,
            lines={line.id: D(net)} if net else None,
        )


def free_credit(tenant_id: str) -> Decimal:
    with system_scope():
        return wallet_balance(tenant_id=tenant_id, currency="USD").credit.amount


def test_payments_in_parts_settle_an_invoice() -> None:
    tenant_id, invoice = owing()
    pay(tenant_id, "60", invoice)
    assert invoice_of(tenant_id, MARCH).remaining == 40
    pay(tenant_id, "40", invoice)
    found = invoice_of(tenant_id, MARCH)
    assert (found.state, found.remaining, receivable(tenant_id)) == (InvoiceState.PAID, 0, 0)
    assert sum_of(tenant_id, AccountKind.CASH, "manual") == 100
    with system_scope():
        names = OutboxEvent.objects.filter(tenant_id=tenant_id).order_by("id")
        told = [row.name for row in names if row.name.startswith(("invoice", "payment"))]
    assert told == ["invoice.finalised", "payment.received", "invoice.paid", "payment.received"]


def test_what_is_paid_too_much_becomes_credit() -> None:
    tenant_id, invoice = owing()
    used(tenant_id, "b", 1000, on(APRIL, 3))  # the running month is owed too, and stays so
    pay(tenant_id, "130", invoice)
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.PAID
    assert (free_credit(tenant_id), receivable(tenant_id)) == (30, 10)


def test_a_payment_is_taken_once() -> None:
    tenant_id, invoice = owing()
    first = pay(tenant_id, "60", invoice, external_id="b1")
    assert pay(tenant_id, "60", invoice, external_id="b1").id == first.id
    assert invoice_of(tenant_id, MARCH).remaining == 40
    with pytest.raises(Conflict, match="was a payment of"):
        pay(tenant_id, "61", invoice, external_id="b1")


@pytest.mark.parametrize(
    ("amount", "code"), [("60 EUR", "currency_mismatch"), ("0 USD", None), ("0.001 USD", None)]
)
def test_a_payment_in_another_currency_or_of_nothing_is_refused(
    amount: str, code: str | None
) -> None:
    tenant_id, invoice = owing()
    number, currency = amount.split()
    with pytest.raises(InvalidInput) as raised:
        pay(tenant_id, "1", invoice, amount=Money.of(number, currency))
    assert code in {None, raised.value.code}


def test_a_void_invoice_takes_no_payment_and_voiding_gives_credit_back() -> None:
    tenant_id = customer(book_id=book(DEAR))
    granted(tenant_id, "30", GrantKind.PROMOTION)
    granted(tenant_id, "20")
    used(tenant_id, "a", 10_000, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    assert (invoice.due, free_credit(tenant_id)) == (50, 0)
    with system_scope():
        invoice_void(actor=operator_of(tenant_id), invoice_id=invoice.id, reason="wrong")
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.VOID
    assert (free_credit(tenant_id), receivable(tenant_id)) == (50, 0)
    assert sum_of(tenant_id, AccountKind.REVENUE) == 0
    assert sum_of(tenant_id, AccountKind.CONTRA_REVENUE) == 0
    assert sum_of(tenant_id, AccountKind.CASH, "credit_note") == 0
    with pytest.raises(Conflict) as raised:
        pay(tenant_id, "50", invoice)
    assert raised.value.code == "invoice_void"
    with system_scope(), pytest.raises(Conflict):
        invoice_void(actor=operator_of(tenant_id), invoice_id=invoice.id, reason="again")


def test_a_partly_paid_invoice_is_not_voided() -> None:
    tenant_id, invoice = owing()
    pay(tenant_id, "1", invoice)
    with system_scope(), pytest.raises(Conflict, match="credit note"):
        invoice_void(actor=operator_of(tenant_id), invoice_id=invoice.id, reason="wrong")


def test_a_credit_note_takes_off_what_is_owed() -> None:
    tenant_id, invoice = owing()
    note = credit(invoice, "invoice", "30")
    found = invoice_of(tenant_id, MARCH)
    assert (note.number, note.total) == ("BW-CN-2026-000001", 30)
    assert (found.remaining, found.state, receivable(tenant_id)) == (70, InvoiceState.OPEN, 70)
    assert credit(invoice, "invoice", "30").id == note.id  # the same key
    assert sum_of(tenant_id, AccountKind.REVENUE) == -70
    credit(invoice, "invoice", key="rest")
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.PAID


def test_what_was_paid_goes_back_to_the_payer_or_the_wallet() -> None:
    tenant_id, invoice = owing()
    payment = pay(tenant_id, "100", invoice)
    credit(invoice, "payer", "30")
    credit(invoice, "wallet", "20", key="k2")
    assert sum_of(tenant_id, AccountKind.CASH, "manual") == 70
    assert sum_of(tenant_id, AccountKind.CASH, "credit_note") == 0
    assert (free_credit(tenant_id), sum_of(tenant_id, AccountKind.REVENUE)) == (20, -50)
    with system_scope():
        refund = Refund.objects.get(payment=payment)
    assert (refund.amount, refund.external_id[:9]) == (30, "transfer:")


def test_a_refund_above_what_was_paid_is_refused() -> None:
    tenant_id = customer(book_id=book(DEAR))
    granted(tenant_id, "60", GrantKind.PROMOTION)
    used(tenant_id, "a", 10_000, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    pay(tenant_id, "40", invoice)
    with pytest.raises(InvalidInput) as raised:
        credit(invoice, "payer", "50")
    assert raised.value.code == "refund_above_paid"
    credit(invoice, "payer", "40")
    with pytest.raises(InvalidInput):
        credit(invoice, "payer", "1", key="more")


def test_a_credit_note_above_the_invoice_is_refused() -> None:
    tenant_id, invoice = owing()
    credit(invoice, "invoice", "60")
    with pytest.raises(InvalidInput) as raised:
        credit(invoice, "invoice", "40.01", key="k2")
    assert raised.value.code == "credit_note_amount"
    pay(tenant_id, "40", invoice)
    with pytest.raises(InvalidInput, match="payer or the wallet"):
        credit(invoice, "invoice", "10", key="k3")


def test_tax_goes_back_at_the_rate_at_which_it_was_taken() -> None:
    tenant_id, invoice = taxed("0.19")
    assert (invoice.net, invoice.tax, invoice.due) == (100, 19, 119)
    pay(tenant_id, "119", invoice)
    with system_scope():
        tax_rate_set(
            actor=operator_of(tenant_id),
            jurisdiction="DE",
            name="VAT",
            rate=D("0.25"),
            valid_from=on(APRIL, 1, 0),
        )
    note = credit(invoice, "payer", "50")
    assert (note.tax, note.total) == (D("9.50"), D("59.50"))
    assert sum_of(tenant_id, AccountKind.TAX_PAYABLE, "DE") == D("-9.5")


def taxed(rate: str, **profile: Any) -> tuple[str, Invoice]:
    tenant_id = customer(book_id=book(DEAR))
    with system_scope():
        tax_rate_set(
            actor=operator_of(tenant_id),
            jurisdiction="DE",
            name="VAT",
            rate=D(rate),
            valid_from=on(MARCH, 1, 0),
        )
        tax_profile_set(actor=operator_of(tenant_id), profile=NewProfile(country="DE", **profile))
    used(tenant_id, "a", 10_000, on(MARCH, 3))
    return tenant_id, stated(tenant_id, MARCH)


def test_reverse_charge_bears_no_tax_and_says_so() -> None:
    _, invoice = taxed("0.19", reverse_charge=True)
    assert (invoice.tax, invoice.reverse_charge) == (0, True)


def test_tax_at_top_up_is_not_taken_again() -> None:
    tenant_id, invoice = taxed("0.19", tax_point="top_up")
    assert invoice.tax == 19  # postpaid was never topped up
    pay(tenant_id, "119", invoice)
    pay(tenant_id, "119")
    assert free_credit(tenant_id) == 100
    with system_scope():
        document = Invoice.objects.get(tenant_id=tenant_id, kind=Invoice.Kind.TOP_UP)
    assert (document.net, document.tax, document.total, document.remaining) == (100, 19, 119, 0)
    used(tenant_id, "b", 4000, on(APRIL, 3))
    april = stated(tenant_id, APRIL)
    assert (april.tax, april.prepaid, april.prepaid_untaxed, april.due) == (0, 40, 40, 0)


def test_a_wallet_settled_month_has_its_tax_document_too() -> None:
    tenant_id = customer(book_id=book(DEAR))
    with system_scope():
        tax_rate_set(
            actor=operator_of(tenant_id),
            jurisdiction="DE",
            name="VAT",
            rate=D("0.19"),
            valid_from=on(MARCH, 1, 0),
        )
        tax_profile_set(actor=operator_of(tenant_id), profile=NewProfile(country="DE"))
    granted(tenant_id, "200")
    assert taxes_apply() == 1
    used(tenant_id, "a", 10_000, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    assert (invoice.net, invoice.tax, invoice.prepaid, invoice.due) == (100, 19, 119, 0)
    assert sum_of(tenant_id, AccountKind.TAX_PAYABLE, "DE") == -19


def test_unused_credit_goes_back_to_its_payer() -> None:
    tenant_id = customer(book_id=book(DEAR))
    payment = pay(tenant_id, "100")
    used(tenant_id, "a", 3000, on(MARCH, 3))
    with system_scope():
        again = [
            payment_refund(
                actor=operator_of(tenant_id),
                payment_id=payment.id,
                amount=Money.of("70", "USD"),
                key="r1",
            ).id
            for _ in range(2)
        ]
        with pytest.raises(InvalidInput) as raised:
            payment_refund(
                actor=operator_of(tenant_id),
                payment_id=payment.id,
                amount=Money.of("0.01", "USD"),
                key="r2",
            )
        with pytest.raises(Conflict) as other:
            payment_refund(
                actor=operator_of(tenant_id),
                payment_id=payment.id,
                amount=Money.of("69", "USD"),
                key="r1",
            )
    assert again[0] == again[1]
    assert raised.value.code == "refund_above_paid"
    assert other.value.code == "key_reused"
    assert "stands for the refund of 70" in other.value.message
    assert sum_of(tenant_id, AccountKind.CASH, "manual") == 30


def test_what_is_written_off_is_bad_debt_and_may_still_be_paid() -> None:
    tenant_id, invoice = owing()
    pay(tenant_id, "40", invoice)
    with system_scope():
        invoice_write_off(actor=operator_of(tenant_id), invoice_id=invoice.id)
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.UNCOLLECTIBLE
    assert (sum_of(tenant_id, AccountKind.BAD_DEBT), receivable(tenant_id)) == (60, 0)
    pay(tenant_id, "25", invoice)
    assert sum_of(tenant_id, AccountKind.BAD_DEBT) == 35
    pay(tenant_id, "35", invoice)
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.PAID
    assert (sum_of(tenant_id, AccountKind.BAD_DEBT), receivable(tenant_id)) == (0, 0)


def test_only_operators_and_only_for_their_tenant() -> None:
    tenant_id, invoice = owing()
    tenant = tenant_make(has_credit=False)
    with system_scope():
        with pytest.raises(PermissionDenied):
            invoice_write_off(actor=owner_of(tenant), invoice_id=invoice.id)
        with pytest.raises(NotFound):
            invoice_write_off(actor=operator_of(tenant.tenant.id), invoice_id=invoice.id)
    assert invoice_of(tenant_id, MARCH).state == InvoiceState.OPEN
