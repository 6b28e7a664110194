"""The same key with another payload: nothing is answered as if it had been done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from tenants.billing.models import CreditNote
from tenants.billing.services.credit import credit_grant
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant
from tests.tenants.billing.factories import MARCH, customer, invoice_of, operator_of, system_of
from tests.tenants.billing.test_payments import credit, owing, pay

pytestmark = pytest.mark.django_db


def refused(again: Callable[[], Any], code: str) -> str:
    with pytest.raises(Conflict) as raised:
        again()
    assert raised.value.code == code
    return raised.value.message


def test_a_credit_notes_key_stands_for_its_lines_and_where_they_went() -> None:
    tenant_id, invoice = owing()
    pay(tenant_id, "100", invoice)
    first = credit(invoice, "wallet", "10")
    assert credit(invoice, "wallet", "10").id == first.id
    assert "over 10.00" in refused(lambda: credit(invoice, "wallet", "50"), "key_reused")
    assert "to the wallet" in refused(lambda: credit(invoice, "payer", "10"), "key_reused")
    refused(lambda: credit(invoice, "wallet"), "key_reused")  # all that is left
    with system_scope():
        assert CreditNote.objects.count() == 1


def test_a_note_over_all_that_was_left_is_repeated_as_such() -> None:
    tenant_id, invoice = owing()
    pay(tenant_id, "100", invoice)
    credit(invoice, "wallet", "10", key="part")
    rest = credit(invoice, "wallet", key="rest")
    assert rest.net == 90
    assert credit(invoice, "wallet", key="rest").id == rest.id
    refused(lambda: credit(invoice, "wallet", key="part"), "key_reused")


def test_a_payments_name_stands_for_its_invoice_where_a_person_repeats_it() -> None:
    tenant_id, invoice = owing()
    first = pay(tenant_id, "100", external_id="b1")
    refused(lambda: pay(tenant_id, "100", invoice, external_id="b1"), "payment_conflict")
    assert invoice_of(tenant_id, MARCH).remaining == 100
    # a provider tells of it again and again, also for the invoice that it came too late for
    again = pay(tenant_id, "100", invoice, external_id="b1", actor=system_of(tenant_id))
    assert again.id == first.id


def test_granted_credits_key_stands_for_its_end() -> None:
    tenant_id = customer()

    def grant(expires_at: dt.datetime | None) -> CreditGrant:
        with system_scope():
            return credit_grant(
                actor=operator_of(tenant_id),
                key="g",
                kind=GrantKind.PROMOTION,
                amount=Money.of("5", "USD"),
                reason="sorry",
                expires_at=expires_at,
            )

    day = now() + dt.timedelta(days=1)
    assert grant(day).id == grant(day).id
    refused(lambda: grant(day + dt.timedelta(days=30)), "key_reused")
    assert "expires" in refused(lambda: grant(None), "key_reused")


def test_a_payment_of_tomorrow_is_not_there_yet() -> None:
    tenant_id = customer()
    with pytest.raises(InvalidInput) as raised:
        pay(tenant_id, "10", received_at=now() + dt.timedelta(days=1))
    assert raised.value.param == "received_at"
