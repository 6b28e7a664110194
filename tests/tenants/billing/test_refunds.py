"""Unused credit that goes back to its payer: in whole cents, with its tax and its document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.billing.models import CreditNote, Invoice, Payment, Refund
from tenants.billing.services.refunds import payment_refund
from tenants.billing.services.tax import NewProfile, tax_profile_set, tax_rate_set, taxes_apply
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import AccountKind
from tenants.ledger.selectors import unbalanced
from tests.tenants.billing.factories import customer, operator_of, sum_of
from tests.tenants.billing.test_payments import free_credit, pay

pytestmark = pytest.mark.django_db
D = Decimal
CENT = D("0.01")


def taxed(rate: str) -> str:
    """A customer whose tax is taken when it buys credit."""
    tenant_id = customer()
    actor = operator_of(tenant_id)
    with system_scope():
        tax_rate_set(
            actor=actor,
            jurisdiction="DE",
            name="VAT",
            rate=D(rate),
            valid_from=dt.datetime.now(dt.UTC),
        )
        tax_profile_set(actor=actor, profile=NewProfile(country="DE", tax_point="top_up"))
    taxes_apply()
    return tenant_id


def refund(payment: Payment, credit: str | Decimal, key: str = "") -> Refund:
    with system_scope():
        return payment_refund(
            actor=operator_of(payment.tenant_id),
            payment_id=payment.id,
            amount=Money.of(credit, payment.currency),
            key=key or new_id("key_"),
        )


def notes_of(tenant_id: str) -> Sequence[CreditNote]:
    with system_scope():
        return list(CreditNote.objects.filter(tenant_id=tenant_id).order_by("number"))


def test_a_taxed_top_up_that_goes_back_has_a_credit_note_with_its_tax() -> None:
    tenant_id = taxed("0.19")
    payment = pay(tenant_id, "119")
    sent = [refund(payment, "40", key="a") for _ in range(2)]
    assert [row.amount for row in sent] == [D("47.60")] * 2
    (note,) = notes_of(tenant_id)
    assert (note.net, note.tax, note.total, note.to) == (40, D("7.60"), D("47.60"), "payer")
    with system_scope():
        invoice = Invoice.objects.get(tenant_id=tenant_id, kind=Invoice.Kind.TOP_UP)
        assert (note.invoice_id, note.lines.get().net) == (invoice.id, 40)
        assert Refund.objects.get().credit_note_id == note.id
    assert sum_of(tenant_id, AccountKind.TAX_PAYABLE) == D("-11.40")


def test_credit_that_bore_no_tax_goes_back_without_a_document() -> None:
    tenant_id = customer()
    refund(pay(tenant_id, "100"), "40")
    assert notes_of(tenant_id) == []


@pytest.mark.parametrize(
    ("currency", "part"), [("USD", "0.001"), ("USD", "33.333"), ("JPY", "0.5"), ("KWD", "1.2345")]
)
def test_what_no_bank_can_send_is_refused(currency: str, part: str) -> None:
    tenant_id = customer()
    payment = pay(tenant_id, "100", amount=Money.of("100", currency))
    with pytest.raises(InvalidInput) as raised:
        refund(payment, part)
    assert raised.value.param == "amount"
    with system_scope():
        assert Refund.objects.count() == 0
    assert sum_of(tenant_id, AccountKind.CASH) == 100


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rate=st.sampled_from(["0.19", "0.077", "0.255"]),
    paid=st.integers(min_value=100, max_value=30_000),
    cuts=st.lists(st.integers(min_value=1, max_value=9_999), max_size=6),
)
def test_refunds_in_parts_send_all_that_was_paid_and_the_books_say_so(
    rate: str, paid: int, cuts: list[int]
) -> None:
    tenant_id = taxed(rate)
    payment = pay(tenant_id, str(paid * CENT))
    for cut in cuts:
        if (part := cut * CENT) < free_credit(tenant_id):
            refund(payment, part)
            assert sum_of(tenant_id, AccountKind.CASH) % CENT == 0
    refund(payment, free_credit(tenant_id))
    # then every cent has gone back, its tax too, and the documents say the same
    notes = notes_of(tenant_id)
    assert sum(note.total for note in notes) == paid * CENT
    with system_scope():
        assert sum(row.amount for row in Refund.objects.filter(tenant_id=tenant_id)) == paid * CENT
        payment.refresh_from_db()
        assert (unbalanced(), projections_wrong()) == ([], [])
    assert payment.refundable == 0
    for account in (AccountKind.CASH, AccountKind.TAX_PAYABLE, AccountKind.GRANT):
        assert sum_of(tenant_id, account) == 0
