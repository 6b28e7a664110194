"""Any history of one wallet leaves what the plain model says, to the last of twelve decimals."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import connections
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.accounts.actors import system_actor
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.errors import BudgetExceeded, CreditExhausted
from tenants.ledger.models import Budget, CreditGrant, LedgerPosting, LedgerTransaction, Wallet
from tenants.ledger.selectors import unbalanced, wallet_balance
from tenants.ledger.statements import ChargeLine
from tests.tenants.ledger.factories import customer_make
from tests.tenants.ledger.reference import (
    Credit,
    Limit,
    NoBudget,
    NoCredit,
    Reference,
    TooMuchBack,
)

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(280)]

LABELS = ({}, {"api_key_id": "key_1", "model": "m"}, {"api_key_id": "key_2", "model": "m"})
REFUSALS: dict[type[Exception], type[Exception]] = {
    NoCredit: CreditExhausted,
    NoBudget: BudgetExceeded,
    TooMuchBack: InvalidInput,
}


class History:
    """One wallet in the database and its model, side by side."""

    def __init__(self, limit: Decimal, rate: Decimal) -> None:
        self.tenant = customer_make(str(limit), str(rate), "X")
        self.model = Reference(limit=Fraction(limit), rate=Fraction(rate))
        self.started = now()
        self.count = 0
        self.done: list[tuple[str, dict[str, Any], Any]] = []

    def at(self, hours: float) -> dt.datetime:
        return self.started + dt.timedelta(hours=hours)

    def both(self, name: str, params: dict[str, Any], expected: Any) -> Any:
        """Call a service, and the model by `expected`: both do it, or both refuse it."""
        try:
            expected()
            refused = None
        except tuple(REFUSALS) as error:
            refused = REFUSALS[type(error)]
        if refused is not None:
            with pytest.raises(refused):
                self.call(name, params)
            return None
        answer = self.call(name, params)
        self.done.append((name, params, answer))
        return answer

    def call(self, name: str, params: dict[str, Any]) -> Any:
        of_tenant = name in {"hold_place", "hold_extend", "hold_release", "charge_post"}
        with tenant_scope(self.tenant) if of_tenant else system_scope():
            return getattr(services, name)(tenant_id=self.tenant, **params)

    def key(self) -> str:
        self.count += 1
        return f"k{self.count}"

    # the steps

    def grant(self, amount: Decimal, kind: str, priority: int, hours: int, tax: Decimal) -> None:
        included = kind == "paid" and priority == 1
        tax = tax if included else Decimal(0)
        params = {
            "key": self.key(),
            "kind": GrantKind(kind),
            "amount": Money(amount, "USD"),
            "tax": Money(tax, "USD"),
            "priority": priority,
            "expires_at": self.at(hours) if hours else None,
            "tax_included": included,
            "source": "manual",
        }
        made = self.both("grant_issue", params, lambda: None)
        self.model.grant(
            Credit(
                made, kind, Fraction(amount), Fraction(amount), priority,
                hours or float("inf"), included, Fraction(tax),
            )
        )  # fmt: skip

    def hold(self, amount: Decimal, label: int) -> None:
        key, labels = self.key(), LABELS[label]
        params = {"key": key, "amount": Money(amount, "USD"), "labels": labels}
        self.both("hold_place", params, lambda: self.model.hold(key, Fraction(amount), labels))

    def some_hold(self, which: int) -> str | None:
        keys = sorted(self.model.holds)
        return keys[which % len(keys)] if keys else None

    def extend(self, which: int, amount: Decimal) -> None:
        if key := self.some_hold(which):
            params = {"key": key, "extra": Money(amount, "USD")}
            self.both("hold_extend", params, lambda: self.model.extend(key, Fraction(amount)))
            self.done = [entry for entry in self.done if entry[0] != "hold_extend"]

    def release(self, which: int) -> None:
        if key := self.some_hold(which):
            assert self.call("hold_release", {"key": key})
            assert not self.call("hold_release", {"key": key})
            del self.model.holds[key]

    def charge(self, net: Decimal, label: int, hold: int, keep: bool, late: bool) -> None:
        key = self.some_hold(hold) if hold else None
        labels = LABELS[label]
        params = {
            "key": self.key(),
            "currency": "USD",
            "lines": [ChargeLine(RevenueLine.TOKENS, net)],
            "occurred_at": self.at(-24 * 31) if late else self.started,
            "hold_key": key,
            "labels": labels,
            "keep_hold": keep,
        }

        def expected() -> None:
            self.model.charge(Fraction(net), labels, -1 if late else 0, key, keep=keep)

        self.both("charge_post", params, expected)

    def pay(self, amount: Decimal) -> None:
        params = {"key": self.key(), "amount": Money(amount, "USD"), "source": "manual"}
        transaction = self.both("payment_post", params, lambda: None)
        with system_scope():
            grant = LedgerTransaction.objects.get(id=transaction).answer["grant"]
        self.model.pay(Fraction(amount), grant)

    def withdraw(self, which: int, amount: Decimal) -> None:
        paid = [credit for credit in self.model.credits if credit.kind == "paid" and credit.amount]
        if paid:
            credit = paid[which % len(paid)]
            params = {"key": self.key(), "grant_id": credit.id, "amount": Money(amount, "USD")}
            self.both(
                "grant_withdraw", params, lambda: self.model.withdraw(credit, Fraction(amount))
            )

    def expire(self, which: int, hours: int) -> None:
        """Time passes for one grant, and is noticed later."""
        mortal = [credit for credit in self.model.credits if 0 < credit.expires < float("inf")]
        if mortal:
            credit = mortal[which % len(mortal)]
            credit.expires = -hours
            with connections["owner"].cursor() as cursor:
                cursor.execute(
                    "UPDATE credit_grant SET expires_at = %s WHERE id = %s",
                    [self.at(-hours), credit.id],
                )

    def sweep(self) -> None:
        with system_scope():
            services.grants_expire()
        self.model.sweep()

    def limit(self, subject: int, hard: Decimal) -> None:
        name, ref = (("tenant", ""), ("api_key", "key_1"), ("model", "m"))[subject]
        if any(limit.subject == name for limit in self.model.limits):
            return
        with tenant_scope(self.tenant):
            services.budget_create(
                actor=system_actor(self.tenant),
                subject=Budget.Subject(name),
                ref=ref,
                currency="USD",
                hard=Money(hard, "USD"),
            )
        self.model.limits.append(Limit(name, ref, Fraction(hard)))

    def again(self, which: int) -> None:
        """The same key and payload: the same answer. Another payload: refused. Nothing moves."""
        if not self.done:
            return
        name, params, answer = self.done[which % len(self.done)]
        assert self.call(name, params) == answer
        with pytest.raises(Conflict):
            self.call(name, self.altered(params))

    @staticmethod
    def altered(params: dict[str, Any]) -> dict[str, Any]:
        if "lines" in params:
            return {**params, "lines": [ChargeLine(RevenueLine.TOKENS, Decimal("77.7"))]}
        return {**params, "amount": params["amount"] + Money.of("0.01", "USD")}

    # what must be so after every step

    def agree(self) -> None:
        with system_scope():
            rows = {row.id: row for row in CreditGrant.objects.filter(tenant_id=self.tenant)}
            self.adopt(rows)
            for credit in self.model.credits:
                kept = rows[credit.id]
                assert Fraction(kept.remaining) == credit.left
                assert Fraction(kept.held) == self.model.held_of(credit)
                assert (kept.closed_at is not None) == credit.over
            wallet = Wallet.objects.get(tenant_id=self.tenant)
            assert Fraction(wallet.receivable) == self.model.owed
            assert Fraction(wallet.held_postpaid) == self.model.held_of(None)
            balance = wallet_balance(tenant_id=self.tenant, currency="USD")
            assert Fraction(balance.available.amount) == self.model.available()

    def adopt(self, rows: dict[str, CreditGrant]) -> None:
        """The model cannot know the ids that the database gives to fresh grants."""
        known = {credit.id for credit in self.model.credits}
        for credit in self.model.credits:
            if credit.id.startswith("fresh"):
                (name,) = (
                    row.id
                    for row in rows.values()
                    if row.id not in known and row.tax_included == credit.taxed_before
                    if bool(row.jurisdiction) == credit.of_taxed
                )
                self.model.rename(credit, name)

    def books_agree(self) -> None:
        with system_scope():
            rows: Any = LedgerPosting.objects.filter(transaction__tenant_id=self.tenant)
            named = rows.values_list("account__kind", "account__ref").annotate(Sum("amount"))
            kept = {(kind, ref): Fraction(amount) for kind, ref, amount in named if amount}
            assert unbalanced() == []
            assert projections_wrong() == []
            spends = {b.subject: b for b in Budget.objects.filter(tenant_id=self.tenant)}
            for limit in self.model.limits:
                month = spends[limit.subject].spends.get(period=self.started.date().replace(day=1))
                assert Fraction(month.spent) == self.model.counted(limit, 0)
                assert Fraction(month.held) == self.model.set_aside(limit)
        assert kept == {account: amount for account, amount in self.model.books.items() if amount}
        assert sum(kept.values()) == 0


cents = st.decimals("0.01", "30", places=2)
exact = st.decimals("0.000000000001", "9", places=12)
amounts = st.one_of(cents, exact)
index = st.integers(0, 5)
steps = st.one_of(
    st.tuples(
        st.just("grant"), amounts, st.sampled_from(["allowance", "promotion", "paid"]),
        st.integers(0, 1), st.integers(0, 3), cents,
    ),
    st.tuples(st.just("hold"), amounts, st.integers(0, 2)),
    st.tuples(st.just("extend"), index, amounts),
    st.tuples(st.just("release"), index),
    st.tuples(
        st.just("charge"), amounts, st.integers(0, 2), index, st.booleans(), st.booleans()
    ),
    st.tuples(
        st.just("charge"), amounts.map(lambda amount: -amount), st.integers(0, 2), st.just(0),
        st.just(False), st.booleans(),
    ),
    st.tuples(st.just("pay"), amounts),
    st.tuples(st.just("withdraw"), index, amounts),
    st.tuples(st.just("expire"), index, st.integers(1, 9)),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("limit"), st.integers(0, 2), cents),
    st.tuples(st.just("again"), index),
)  # fmt: skip
rates = st.sampled_from(["0", "0.2", "0.19", "0.077", "0.333333"]).map(Decimal)


@given(
    limit=st.sampled_from(["0", "25"]).map(Decimal),
    rate=rates,
    history=st.lists(steps, min_size=3, max_size=25),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_history_agrees_with_the_model(
    limit: Decimal, rate: Decimal, history: list[tuple[Any, ...]]
) -> None:
    side_by_side = History(limit, rate)
    for name, *values in history:
        getattr(side_by_side, name)(*values)
        side_by_side.agree()
    side_by_side.books_agree()
