"""Shares: posted with the charge, by who paid for it, and taken back with what goes back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.selectors import unbalanced
from tests.tenants.partners.factories import (
    PLUGIN,
    SEVENTY,
    partner_make,
    plugin_priced,
    standing,
)
from tests.tenants.pricing.books import charge, credit_give, item, tenant_make

pytestmark = pytest.mark.django_db
D = Decimal


def units(quantity: str, at: dt.datetime | None = None):
    made = item("plugin.units", quantity, at)
    return type(made)(made.meter, made.quantity, {"plugin": PLUGIN}, made.event_time)


@pytest.fixture
def customer() -> str:
    partner_make(seller="plugin:other")
    plugin_priced()
    return tenant_make(credit="1000")


def test_a_share_posts_in_the_charges_own_transaction(customer: str) -> None:
    partner = partner_make(SEVENTY)
    charged = charge(customer, "job", units("10"))
    assert standing(partner) == {"pending": D(7), "available": 0, "paid": 0, "receivable": 0}
    with system_scope():
        row = LedgerTransaction.objects.get(pk=charged.transaction_id)
        kinds = {posting.account.kind: posting.amount for posting in row.postings.all()}
        assert kinds[AccountKind.PARTNER_SHARE] == 7
        assert kinds[AccountKind.PARTNER_PENDING] == -7
        assert unbalanced() == []


def test_what_nobody_agreed_on_is_not_shared(customer: str) -> None:
    partner = partner_make()
    charge(customer, "job", units("10"))
    assert standing(partner)["pending"] == 0


def test_a_repeated_charge_shares_once(customer: str) -> None:
    partner = partner_make(SEVENTY)
    for _ in range(2):
        charge(customer, "job", units("10"))
    assert standing(partner)["pending"] == 7


def test_tiers_count_on_through_the_month(customer: str) -> None:
    tiers = [{"up_to": "15", "share": "0.5"}, {"up_to": None, "share": "0.9"}]
    partner = partner_make({"currency": "USD", "lines": {"plugins": {"tiers": tiers}}})
    for number in range(3):
        charge(customer, f"job{number}", units("10"))
    assert standing(partner)["pending"] == D("7.5") + 15 * D("0.9")


@pytest.mark.parametrize(
    ("bearer", "share"), [("platform", "7"), ("both", "4.9"), ("partner", "4")]
)
def test_who_bears_a_promotion_is_a_term(bearer: str, share: str) -> None:
    plugin_priced()
    customer = tenant_make(credit="100")
    with system_scope():
        credit_give(customer, "3", kind=GrantKind.PROMOTION)
    partner = partner_make({**SEVENTY, "promotion": bearer})
    charge(customer, "job", units("10"))
    assert standing(partner)["pending"] == D(share)


@pytest.mark.parametrize(
    ("bearer", "share"), [("platform", "7"), ("both", "6.79"), ("partner", "6.7")]
)
def test_who_bears_the_processing_fee_is_a_term(customer: str, bearer: str, share: str) -> None:
    partner = partner_make({**SEVENTY, "fee": bearer, "fee_rate": "0.03"})
    charge(customer, "job", units("10"))
    assert standing(partner)["pending"] == D(share)


def test_compute_is_borne_up_to_the_cap(customer: str) -> None:
    partner = partner_make({**SEVENTY, "cost_share": "0.5", "cost_cap": "3"})
    charge(customer, "job1", units("10"), cost=D(4))
    assert standing(partner)["pending"] == 5
    charge(customer, "job2", units("10"), cost=D(4))
    assert standing(partner)["pending"] == 11


def test_a_waiver_takes_share_and_cost_back(customer: str) -> None:
    partner = partner_make({**SEVENTY, "cost_share": "0.5"})
    of_job = {"subject_kind": "job", "subject_id": "job_1"}
    charge(customer, "a", units("10"), cost=D(2), **of_job)
    charge(customer, "b", units("5"), **of_job)
    charge(customer, "other", units("1"), subject_kind="job", subject_id="job_2")
    charge(customer, "c", waive="the job failed", occurred_at=dt.datetime.now(dt.UTC), **of_job)
    assert standing(partner)["pending"] == D("0.7")
    with system_scope():
        assert unbalanced() == []
