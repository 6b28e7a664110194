"""The charging program through Django: locked, telescoping, bounded, waived, once per key."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tenants.ledger.selectors import unbalanced, wallet_balance
from tenants.ledger.services import hold_place
from tenants.pricing.models import Charge, ChargeLine, PeriodTotal
from tenants.pricing.services import usage_charge, usage_charges
from tests.tenants.pricing.books import charge, item, platform_make, request, tax_set, tenant_make
from tests.tenants.pricing.factories import D

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> str:
    platform_make()
    return tenant_make(credit="100")


def available(tenant_id: str) -> Decimal:
    with tenant_scope(tenant_id):
        return wallet_balance(tenant_id=tenant_id, currency="USD").available.amount


def lines(tenant_id: str) -> list[tuple[str, str, Decimal]]:
    with tenant_scope(tenant_id):
        rows = ChargeLine.objects.order_by("id")
        return [(row.kind, row.meter, row.net) for row in rows]


def test_a_request_is_charged_at_list_prices(tenant: str) -> None:
    charged = charge(tenant, "r1", item("tokens.input", 1_000_000), item("tokens.output", 500_000))
    assert charged.net == Money(D("1.5"), "USD")  # 0.60 + 0.90
    assert (charged.tax.amount, charged.paid, charged.postpaid) == (0, D("1.5"), 0)
    assert available(tenant) == D("98.5")
    assert lines(tenant) == [
        ("usage", "tokens.input", D("0.6")),
        ("usage", "tokens.output", D("0.9")),
    ]
    with system_scope():
        assert unbalanced() == []


def test_the_same_key_answers_the_same_and_posts_nothing(tenant: str) -> None:
    first = charge(tenant, "r1", item("tokens.input", 1_000_000))
    again = charge(tenant, "r1", item("tokens.input", 1_000_000))
    assert again.repeated
    assert not first.repeated
    assert (again.charge_id, again.net, again.rated) == (first.charge_id, first.net, first.rated)
    assert available(tenant) == D("99.4")
    assert len(lines(tenant)) == 1


def test_the_same_key_for_another_charge_is_refused(tenant: str) -> None:
    charge(tenant, "r1", item("tokens.input", 10))
    with pytest.raises(Conflict) as refused:
        charge(tenant, "r1", item("tokens.input", 11))
    assert refused.value.code == "charge_key_conflict"
    assert len(lines(tenant)) == 1


def test_what_exceeds_the_bound_is_capped_by_a_line(tenant: str) -> None:
    charged = charge(
        tenant,
        "job",
        item("tokens.input", 1_000_000),
        item("tokens.output", 1_000_000),
        bound=Money(D("2"), "USD"),
    )
    assert (charged.net.amount, charged.rated.amount) == (D("2"), D("2.4"))
    assert lines(tenant)[-1] == ("quote_cap", "tokens.output", D("-0.4"))


def test_a_bound_below_zero_charges_nothing(tenant: str) -> None:
    charged = charge(tenant, "j", item("tokens.input", 10**6), bound=Money(D("-1"), "USD"))
    assert charged.net.amount == 0
    assert available(tenant) == 100


def test_a_bound_in_another_currency_is_refused(tenant: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        charge(tenant, "j", item("tokens.input", 1), bound=Money(D("1"), "EUR"))
    assert refused.value.code == "currency_mismatch"


def test_a_waived_job_gets_back_all_that_it_was_charged(tenant: str) -> None:
    job = {"subject_kind": "job", "subject_id": "ftjob-1"}
    charge(tenant, "ftjob-1:0-10", item("tokens.trained", 1_000_000, job_id="j"), **job)
    charge(tenant, "ftjob-1:10-20", item("tokens.trained", 500_000, job_id="j"), **job)
    charge(tenant, "other", item("tokens.trained", 1_000_000, job_id="k"), subject_kind="job",
           subject_id="ftjob-2")  # fmt: skip
    assert available(tenant) == 90
    charged = charge(
        tenant,
        "ftjob-1:failed",
        item("tokens.trained", 250_000, job_id="j"),
        waive="our worker failed",
        **job,
    )
    assert charged.net.amount == -6
    assert available(tenant) == 96
    again = charge(tenant, "ftjob-1:again", waive="once more", occurred_at=dt.datetime.now(dt.UTC),
                   **job)  # fmt: skip
    assert again.net.amount == 0
    with system_scope():
        assert unbalanced() == []
        total = PeriodTotal.objects.get(tenant_id=tenant, price_key="tokens.trained")
    assert total.quantity == 2_750_000  # what was used stays counted


def test_tax_is_on_what_is_charged(tenant: str) -> None:
    tax_set(tenant, "0.19")
    charged = charge(tenant, "r", item("tokens.input", 10**7))
    assert (charged.net.amount, charged.tax.amount, charged.gross.amount) == (
        6,
        D("1.14"),
        D("7.14"),
    )


def test_a_hold_is_drawn_and_given_back(tenant: str) -> None:
    with tenant_scope(tenant):
        hold_place(tenant_id=tenant, key="job:1", amount=Money(D("60"), "USD"))
    assert available(tenant) == 40
    charge(tenant, "a", item("tokens.input", 10**7), hold_key="job:1", keep_hold=True)
    assert available(tenant) == 40  # 6 of the hold's 60
    charge(tenant, "b", item("tokens.input", 10**7), hold_key="job:1")
    assert available(tenant) == 88


def test_a_hold_is_given_back_where_nothing_is_charged(tenant: str) -> None:
    with tenant_scope(tenant):
        hold_place(tenant_id=tenant, key="r", amount=Money(D("60"), "USD"))
    charged = charge(tenant, "r", item("requests", 1, endpoint="chat"), hold_key="r")
    assert (charged.net.amount, charged.transaction_id) == (0, "")
    assert available(tenant) == 100


def test_a_group_of_several_tenants_is_charged_at_once_and_answered_in_its_order(
    tenant: str,
) -> None:
    other = tenant_make("Other", credit="10")
    requests = [
        request(other, "a", item("tokens.input", 1_000_000)),
        request(tenant, "a", item("tokens.input", 2_000_000)),
        request(other, "b", item("tokens.input", 3_000_000)),
        request(other, "a", item("tokens.input", 1_000_000)),  # once more
    ]
    with system_scope():
        answers = usage_charges(requests=requests)
    assert [a.net.amount for a in answers] == [D("0.6"), D("1.2"), D("1.8"), D("0.6")]
    assert [a.repeated for a in answers] == [False, False, False, True]
    assert (available(tenant), available(other)) == (D("98.8"), D("7.6"))


def test_one_bad_request_of_a_group_charges_none(tenant: str) -> None:
    charge(tenant, "a", item("tokens.input", 5))
    before = available(tenant)
    requests = [
        request(tenant, "b", item("tokens.input", 5)),
        request(tenant, "a", item("tokens.input", 6)),
    ]
    with system_scope():
        with pytest.raises(Conflict):
            usage_charges(requests=requests)
    assert available(tenant) == before


def test_another_tenants_usage_is_not_charged_from_here(tenant: str) -> None:
    other = tenant_make("Other")
    with tenant_scope(tenant):
        with pytest.raises(ScopeError):
            usage_charge(tenant_id=other, request=request(other, "a", item("requests", 1)))


def test_charges_are_each_tenants_own(tenant: str) -> None:
    other = tenant_make("Other")
    charge(tenant, "a", item("tokens.input", 5))
    with tenant_scope(other):
        assert Charge.objects.count() == ChargeLine.objects.count() == 0
