"""Any history of sales, returns, disputes, releases and payouts leaves parts that add up: what the
partner has is the sum of its shares, and each share is what a plain model of fractions says.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind, GrantKind, RevenueLine
from tenants.ledger.models import LedgerPosting
from tenants.ledger.selectors import unbalanced
from tenants.ledger.services import (
    NewPosting,
    charge_post,
    grant_issue,
    share_release,
    share_take_back,
    transaction_post,
)
from tenants.ledger.statements import ChargeLine
from tenants.partners.models import Share
from tenants.pricing.services import sales_shares
from tests.tenants.partners.factories import SELLER, agree, partner_make, standing
from tests.tenants.pricing.books import platform_make, tenant_make

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(280)]

POINT = 10**12
CURRENCIES = ("USD", "EUR", "JPY")


def cut(value: Fraction) -> Fraction:
    """Cut off after twelve decimals, towards zero."""
    return Fraction(int(value * POINT), POINT)


def even(value: Fraction) -> Fraction:
    """Half to even, to twelve decimals."""
    return Fraction(round(value * POINT), POINT)


@dataclass
class Sale:
    currency: str
    net: Fraction
    amount: Fraction
    cost: Fraction
    ripe: bool
    counted: bool


@dataclass
class Model:
    """The partner's side, in fractions."""

    tiers: list[tuple[Fraction | None, Fraction]]
    bearer: str
    fee: str
    fee_rate: Fraction
    cost_share: Fraction
    cap: Fraction | None
    sales: list[Sale] = field(default_factory=list)
    accounts: dict[tuple[str, str], Fraction] = field(default_factory=dict)

    def of_month(self, total: Fraction) -> Fraction:
        share, below = Fraction(0), Fraction(0)
        for up_to, rate in self.tiers:
            top = total if up_to is None else min(up_to, total)
            share += max(top - below, Fraction(0)) * rate
            below = max(below, top)
        return share

    def sell(
        self, currency: str, net: Fraction, promotion: Fraction, cost: Fraction, *, ripe: bool
    ) -> None:
        counted = currency == "USD"
        before = sum((sale.net for sale in self.sales if sale.counted), Fraction(0))
        amount = even(
            self.of_month(before + net) - self.of_month(before)
            if counted and len(self.tiers) > 1
            else net * self.tiers[0][1]
        )
        promotion, money = min(promotion, net), net - min(promotion, net)
        weight = {"platform": Fraction(0), "both": amount, "partner": net}
        off = weight[self.bearer] * promotion + even(weight[self.fee] * self.fee_rate) * money
        borne = even(cost * self.cost_share)
        if self.cap is not None and counted:
            spent = sum((sale.cost for sale in self.sales if sale.counted), Fraction(0))
            borne = max(Fraction(0), min(borne, self.cap - spent))
        part = amount - cut(off / net)
        self.sales.append(Sale(currency, net, part, borne, ripe, counted))
        self.move(currency, part - borne)

    def back(self, sale: Sale, net: Fraction | None) -> tuple[Fraction, Fraction, Fraction]:
        """Take `net` of one sale back (None: all); return what was taken."""
        taken = sale.net if net is None else min(net, sale.net)
        whole = taken == sale.net
        amount = sale.amount if whole else cut(sale.amount * taken / sale.net)
        cost = sale.cost if whole else cut(sale.cost * taken / sale.net)
        sale.net, sale.amount, sale.cost = sale.net - taken, sale.amount - amount, sale.cost - cost
        return taken, amount, cost

    def at(self, currency: str, kind: str) -> Fraction:
        return self.accounts.get((currency, kind), Fraction(0))

    def add(self, currency: str, kind: str, amount: Fraction) -> None:
        self.accounts[currency, kind] = self.at(currency, kind) + amount

    def move(self, currency: str, amount: Fraction) -> None:
        if amount >= 0:
            self.add(currency, "pending", amount)
            return
        for kind in ("pending", "available"):
            taken = min(-amount, max(self.at(currency, kind), Fraction(0)))
            self.add(currency, kind, -taken)
            amount += taken
        self.add(currency, "receivable", amount)

    def release(self, currency: str) -> None:
        unripe = sum(
            (s.amount - s.cost for s in self.sales if s.currency == currency and not s.ripe),
            Fraction(0),
        )
        due = self.at(currency, "pending") - unripe
        if due <= 0:
            return
        owed = min(due, max(-self.at(currency, "receivable"), Fraction(0)))
        self.add(currency, "pending", -due)
        self.add(currency, "receivable", owed)
        self.add(currency, "available", due - owed)


class History:
    """A partner and a customer in the database, and their model beside them."""

    def __init__(self, terms: dict[str, Any], model: Model) -> None:
        platform_make()
        seller = f"{SELLER}{new_id('')}"
        self.seller, self.partner = seller, partner_make(seller=seller)
        agree(self.partner, terms, starts=now() - dt.timedelta(days=200))
        self.model, self.customer = model, tenant_make()
        self.transactions: list[str] = []
        self.disputes: list[tuple[str, list[tuple[Sale, tuple[Fraction, ...]]]]] = []

    def sell(self, currency: str, net: Decimal, promo: Decimal, cost: Decimal, ripe: bool) -> None:
        moment = now()
        with system_scope():
            if promo:
                grant_issue(
                    tenant_id=self.customer, key=new_id("g"), kind=GrantKind.PROMOTION,
                    amount=Money(promo, currency), source="test",
                )  # fmt: skip
            (share,) = sales_shares(
                tenant_id=self.customer, sales={(self.seller, "plugins"): net}, at=moment,
                currency=currency, subject="t",
            ) or [None]  # fmt: skip
            assert share is not None
            # a sale of the past has come of age: its hold period is over
            share = {**share, "hold_days": "-1" if ripe else "30"}
            borne = self._borne(currency, cost)
            outcome = charge_post(
                tenant_id=self.customer, currency=currency, key=new_id("c"), occurred_at=moment,
                lines=[ChargeLine(RevenueLine.PLUGINS, net)],
                shares=[{**share, "cost": f"{borne:f}"}],
            )  # fmt: skip
        self.transactions.append(outcome.transaction_id)
        self.model.sell(
            currency, Fraction(net), Fraction(outcome.promotion), Fraction(cost), ripe=ripe
        )

    def _borne(self, currency: str, cost: Decimal) -> Decimal:
        """What the arithmetic of `sharing` says: the model says it another way."""
        from tenants.partners.models import Agreement
        from tenants.partners.sharing import cost_borne
        from tenants.partners.terms import terms_from_json

        terms = terms_from_json(Agreement.objects.get(tenant_id=self.partner).terms)
        rows = Share.objects.filter(partner_id=self.partner, currency=currency)
        borne = sum((row.cost for row in rows), Decimal(0))
        return cost_borne(terms, cost, borne, counted=currency == terms.currency)

    def give_back(self, currency: str, net: Decimal) -> None:
        wish = {"seller": self.seller, "revenue": "plugins", "net": f"{net:f}"}
        self._take_back(currency, [wish])
        rest, moved = Fraction(net), Fraction(0)
        for sale in reversed(self.model.sales):
            if sale.currency == currency and sale.net > 0 and rest > 0:
                taken, amount, cost = self.model.back(sale, rest)
                rest, moved = rest - taken, moved + amount - cost
        self.model.move(currency, -moved)

    def dispute(self, which: int) -> None:
        if not self.transactions:
            return
        which %= len(self.transactions)
        sale = self.model.sales[which]
        key = self._take_back(
            sale.currency, [{"transaction": self.transactions[which], "cause": "dispute"}]
        )
        taken = self.model.back(sale, None) if sale.net > 0 else (Fraction(0),) * 3
        self.model.move(sale.currency, -(taken[1] - taken[2]))
        self.disputes.append((key, [(sale, taken)]))

    def win(self) -> None:
        if not self.disputes:
            return
        key, taken = self.disputes.pop()
        for _ in range(2):  # told twice
            with system_scope():
                share_take_back(
                    tenant_id=self.customer, currency=taken[0][0].currency, key=f"{key}:won",
                    renews=key,
                )  # fmt: skip
        for sale, (net, amount, cost) in taken:
            sale.net, sale.amount, sale.cost = (
                sale.net + net,
                sale.amount + amount,
                sale.cost + cost,
            )
            self.model.move(sale.currency, amount - cost)

    def _take_back(self, currency: str, wishes: list[dict[str, str]]) -> str:
        key = new_id("back")
        for _ in range(2):  # asked twice
            with system_scope():
                share_take_back(tenant_id=self.customer, currency=currency, key=key, wishes=wishes)
        return key

    def release(self, currency: str) -> None:
        with system_scope():
            share_release(tenant_id=self.partner, currency=currency, key=new_id("r"))
        self.model.release(currency)

    def pay(self, currency: str) -> None:
        amount = self.model.at(currency, "available")
        if amount <= 0:
            return
        exact = Money(Decimal(amount.numerator) / Decimal(amount.denominator), currency)
        with system_scope():
            transaction_post(
                tenant_id=self.partner, key=new_id("p"), kind="partner_payout",
                postings=[
                    NewPosting(AccountKind.PARTNER_AVAILABLE, exact, tenant_id=self.partner),
                    NewPosting(AccountKind.PARTNER_PAID, -exact, tenant_id=self.partner),
                ],
            )  # fmt: skip
        self.model.add(currency, "available", -amount)
        self.model.add(currency, "paid", amount)

    def agrees(self) -> None:
        for currency in CURRENCIES:
            books = standing(self.partner, currency)
            for kind, amount in books.items():
                assert Fraction(amount) == self.model.at(currency, kind), (currency, kind)
            with system_scope():
                rows = Share.objects.filter(partner_id=self.partner, currency=currency)
                assert sum(books.values()) == sum((r.amount - r.cost for r in rows), Decimal(0))
                cost = LedgerPosting.objects.filter(
                    transaction_id__in=rows.values("transaction_id"),
                    account__kind=AccountKind.PARTNER_SHARE,
                )
                assert sum(p.amount for p in cost) == sum(books.values())
            left = sum(s.amount - s.cost for s in self.model.sales if s.currency == currency)
            assert Fraction(sum(books.values())) == left
        with system_scope():
            assert unbalanced() == []


cents = st.integers(1, 5000).map(lambda n: Decimal(n) / 100)
shares_of_one = st.integers(0, 100).map(lambda n: Decimal(n) / 100)
tiers_of = st.lists(
    st.tuples(st.integers(1, 60), shares_of_one), max_size=2, unique_by=lambda t: t[0]
).flatmap(
    lambda steps: shares_of_one.map(
        lambda last: [*((Decimal(up), rate) for up, rate in sorted(steps)), (None, last)]
    )
)
currency = st.sampled_from(CURRENCIES)
acts = st.one_of(
    st.tuples(
        st.just("sell"), currency, cents,
        st.one_of(st.just(Decimal(0)), cents), st.one_of(st.just(Decimal(0)), cents), st.booleans(),
    ),
    st.tuples(st.just("give_back"), currency, cents),
    st.tuples(st.just("dispute"), st.integers(0, 5)),
    st.tuples(st.just("win")),
    st.tuples(st.just("release"), currency),
    st.tuples(st.just("pay"), currency),
)  # fmt: skip
bearers = st.sampled_from(("platform", "partner", "both"))


@given(
    tiers=tiers_of, promotion=bearers, fee=bearers, fee_rate=shares_of_one,
    cost_share=shares_of_one, cap=st.one_of(st.none(), cents),
    history=st.lists(acts, min_size=1, max_size=14),
)  # fmt: skip
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_parts_always_add_up(
    tiers: list[tuple[Decimal | None, Decimal]],
    promotion: str,
    fee: str,
    fee_rate: Decimal,
    cost_share: Decimal,
    cap: Decimal | None,
    history: list[tuple[Any, ...]],
) -> None:
    terms = {
        "currency": "USD",
        "lines": {
            "plugins": {
                "tiers": [
                    {"up_to": None if up is None else str(up), "share": str(s)} for up, s in tiers
                ]
            }
        },
        "promotion": promotion,
        "fee": fee,
        "fee_rate": str(fee_rate),
        "cost_share": str(cost_share),
        "cost_cap": None if cap is None else str(cap),
    }
    model = Model(
        [(None if up is None else Fraction(up), Fraction(s)) for up, s in tiers],
        promotion, fee, Fraction(fee_rate), Fraction(cost_share),
        None if cap is None else Fraction(cap),
    )  # fmt: skip
    story = History(terms, model)
    for name, *given_ in history:
        getattr(story, name)(*given_)
        story.agrees()
