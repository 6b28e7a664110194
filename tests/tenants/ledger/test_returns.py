"""Money going back follows the fundings back: less is owed first, then the latest who paid."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.db.models import Sum

from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tenants.ledger import services
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.models import CreditGrant, Funding, LedgerPosting
from tenants.ledger.selectors import unbalanced
from tests.tenants.ledger.factories import (
    balance_of,
    charge_make,
    customer_make,
    grant_make,
    usd,
)

pytestmark = pytest.mark.django_db


def left_of(grant_id: str) -> Decimal:
    with system_scope():
        return CreditGrant.objects.get(id=grant_id).remaining


def books() -> dict[tuple[str, str], Decimal]:
    """Balances that are not zero, by kind and (but for grants) ref; and the books must agree."""
    with system_scope():
        assert unbalanced() == []
        assert projections_wrong() == []
        rows: Any = LedgerPosting.objects.values_list("account__kind", "account__ref")
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for kind, ref, total in rows.annotate(total=Sum("amount")):
            sums[kind, "" if kind == "grant" else ref] += total
        return {account: total for account, total in sums.items() if total}


def lapse(grant_id: str, *, sweep: bool = True) -> None:
    """Time passes: the grant's end has come, and the sweep may have noticed."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "UPDATE credit_grant SET expires_at = now() - interval '1 hour' WHERE id = %s",
            [grant_id],
        )
    if sweep:
        with system_scope():
            services.grants_expire()


def tomorrow() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


def test_what_is_owed_is_forgiven_before_anything_is_given_back_with_its_tax() -> None:
    tenant_id = customer_make(credit_limit="100", tax_rate="0.2", jurisdiction="AT")
    promotion = grant_make(tenant_id, "10", GrantKind.PROMOTION)
    charge_make(tenant_id, "40")  # 10 by the promotion, 30 + 6 owed
    outcome = charge_make(tenant_id, "-20")
    assert (outcome.net, outcome.tax, outcome.postpaid) == (-20, -4, -24)
    assert balance_of(tenant_id).owed == usd(12)
    assert left_of(promotion) == 0
    outcome = charge_make(tenant_id, "-15")
    assert (outcome.tax, outcome.postpaid, outcome.promotion) == (-2, -12, -5)
    assert balance_of(tenant_id).owed == usd(0)
    assert left_of(promotion) == 5
    assert books() == {
        ("grant", ""): -5,
        ("credit_offset", "promotion"): 5,
        ("revenue", "tokens"): -5,
        ("contra_revenue", "promotion"): 5,
    }


def test_the_latest_funding_gets_its_money_back_first() -> None:
    tenant_id = customer_make()
    first = grant_make(tenant_id, "5", priority=1)
    second = grant_make(tenant_id, "5", priority=2)
    charge_make(tenant_id, "8")
    charge_make(tenant_id, "-4")
    assert (left_of(first), left_of(second)) == (1, 5)
    charge_make(tenant_id, "-4")
    assert (left_of(first), left_of(second)) == (5, 5)
    assert books() == {("cash", "manual"): 10, ("grant", ""): -10}


def test_rows_below_zero_name_the_rows_that_they_return() -> None:
    tenant_id = customer_make(tax_rate="0.19", jurisdiction="DE")
    grant_make(tenant_id, "100")
    charge_make(tenant_id, "10")
    charge_make(tenant_id, "-3.333333333333")
    charge_make(tenant_id, "-6.666666666667")
    with system_scope():
        paid, *back = Funding.objects.order_by("id")
        assert {row.returns_id for row in back} == {paid.id}
        assert sum(row.net for row in back) == -paid.net
        assert sum(row.tax for row in back) == -paid.tax == Decimal("-1.9")
    assert books() == {("cash", "manual"): 100, ("grant", ""): -100}


@pytest.mark.parametrize("sweep", [True, False])
@pytest.mark.parametrize("kind", [GrantKind.PROMOTION, GrantKind.ALLOWANCE])
def test_a_promotion_that_is_over_lapses(kind: GrantKind, sweep: bool) -> None:
    tenant_id = customer_make()
    over = grant_make(tenant_id, "5", kind, expires_at=tomorrow())
    charge_make(tenant_id, "5")
    lapse(over, sweep=sweep)
    outcome = charge_make(tenant_id, "-5")
    assert getattr(outcome, kind.value) == -5
    assert balance_of(tenant_id).available == usd(0)
    assert books() == {}  # no revenue, no presents: as if nothing had happened


@pytest.mark.parametrize(("included", "tax"), [(True, "1"), (False, "0")])
def test_paid_credit_that_is_over_comes_back_as_a_fresh_grant_of_the_same_tax(
    included: bool, tax: str
) -> None:
    tenant_id = customer_make(tax_rate="0.2", jurisdiction="AT")
    over = grant_make(tenant_id, "6", expires_at=tomorrow(), tax_included=included, tax=usd(tax))
    charge_make(tenant_id, "5")
    lapse(over)
    charge_make(tenant_id, "-5")
    assert left_of(over) == 0
    (fresh,) = balance_of(tenant_id).grants
    assert (fresh.kind, fresh.source, fresh.expires_at) == ("paid", "returned", None)
    assert fresh.tax_included is included
    assert fresh.remaining == (5 if included else 6)
    again = charge_make(tenant_id, "1")
    assert again.tax == (0 if included else Decimal("0.2"))
    books()


def test_a_withdrawn_grant_gets_nothing_back_but_its_owner_does() -> None:
    tenant_id = customer_make(tax_rate="0.25", jurisdiction="NO")
    grant_id = grant_make(tenant_id, "8", tax_included=True, tax=usd(2))
    charge_make(tenant_id, "2")
    with system_scope():
        services.grant_withdraw(tenant_id=tenant_id, key="out", grant_id=grant_id, amount=usd(6))
    assert books()["cash", "manual"] == Decimal("2.5")  # 10 less 6 and its 1.5 of tax
    charge_make(tenant_id, "-2")
    (fresh,) = balance_of(tenant_id).grants
    assert fresh.id != grant_id
    assert (fresh.remaining, fresh.tax) == (2, Decimal("0.5"))
    with system_scope():
        services.grant_withdraw(tenant_id=tenant_id, key="rest", grant_id=fresh.id, amount=usd(2))
    assert books() == {}


def test_what_was_owed_and_has_been_paid_comes_back_as_credit() -> None:
    tenant_id = customer_make(credit_limit="50", tax_rate="0.2", jurisdiction="AT")
    charge_make(tenant_id, "10")
    with system_scope():
        services.payment_post(tenant_id=tenant_id, key="p", amount=usd(12), source="manual")
    charge_make(tenant_id, "-5")
    (fresh,) = balance_of(tenant_id).grants
    assert (fresh.remaining, fresh.tax_included) == (6, False)
    assert books() == {
        ("cash", "manual"): 12,
        ("grant", ""): -6,
        ("revenue", "tokens"): -5,
        ("tax_payable", "AT"): -1,
    }


def test_more_than_was_ever_charged_does_not_go_back() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "5")
    charge_make(tenant_id, "2")
    with pytest.raises(InvalidInput, match=r"0\.5 more would go back"):
        charge_make(tenant_id, "-2.5")
    assert balance_of(tenant_id).available == usd(3)
    books()


def test_lines_that_cancel_each_other_move_revenue_only() -> None:
    tenant_id = customer_make()
    outcome = charge_make(tenant_id, {RevenueLine.TOKENS: "-3", RevenueLine.PLAN: "3"})
    assert (outcome.net, outcome.postpaid) == (0, 0)
    assert books() == {("revenue", "tokens"): 3, ("revenue", "plan"): -3}
