"""Random histories: whatever happens in whatever order, the books balance, invoices are the sum of
their lines, rating again gives the same bytes, and every unit is billed once.

A history lives three months by a clock of its own. After each step the invariants that always hold
are checked; at the end all months are made final, and the sums are compared.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tenants.billing.models import Invoice, InvoiceLine, Statement, TaxRate
from tenants.billing.periods import Period
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.invoices import invoice_void
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.statements import statement_rerate, statements_advance
from tenants.billing.services.tax import NewProfile, tax_apply, tax_profile_set, tax_rate_set
from tenants.billing.states import InvoiceState, StatementState
from tenants.billing.stating import stated_from_json
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant, Wallet
from tenants.ledger.selectors import unbalanced
from tenants.usage.models import UsageEvent
from tests.tenants.billing.factories import (
    MARCH,
    book,
    contract,
    counted,
    customer,
    granted,
    operator_of,
    used,
    version,
)

pytestmark = pytest.mark.django_db
ZERO = Decimal(0)
MODELS = (
    {"model": "standard", "unit": "0.0137"},
    {
        "model": "graduated",
        "tiers": [{"up_to": "100", "unit": "0.11"}, {"up_to": None, "unit": "0.07", "fee": "1"}],
    },
    {
        "model": "volume",
        "tiers": [{"up_to": "80", "unit": "0.10"}, {"up_to": None, "unit": "0.03"}],
    },
    {"model": "package", "price": "3", "size": "25"},
)


class Crash(Exception):
    """Everything stops here; what was not committed is gone."""


@contextmanager
def cut_off() -> Iterator[None]:
    """The process dies before the transaction commits."""
    with suppress(Crash), system_scope():
        yield
        raise Crash


@dataclass(frozen=True)
class _Event:
    key: str
    quantity: int
    at: dt.datetime
    charged: bool = True
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class History:
    """A tenant, its clock, and what it has done."""

    tenant_id: str
    book_id: str
    now: dt.datetime = field(default_factory=lambda: MARCH.start + dt.timedelta(hours=1))
    events: list[_Event] = field(default_factory=list)

    def use(self, quantity: int, back_days: int, charged: bool) -> None:
        """Count now, or late by days; charged at once or by nobody."""
        at = max(MARCH.start, self.now - dt.timedelta(days=back_days))
        self._record(_Event(new_id("u-"), quantity, at, charged))

    def repeat(self, which: int) -> None:
        """A sender sends again what was sent before, byte for byte."""
        if self.events:
            self._send(self.events[which % len(self.events)])

    def waive(self, quantity: int) -> None:
        self._record(_Event(new_id("w-"), quantity, self.now, more={"waive": "our fault"}))

    def quote(self, quantity: int, bound: int) -> None:
        more = {"bound": Money.of(bound, "USD")}
        self._record(_Event(new_id("q-"), quantity, self.now, more=more))

    def _record(self, event: _Event) -> None:
        self.events.append(event)
        self._send(event)

    def _send(self, event: _Event) -> None:
        if event.charged:
            used(self.tenant_id, event.key, event.quantity, event.at, **event.more)
        else:
            counted(self.tenant_id, event.key, event.quantity, event.at)

    def grant(self, kind: GrantKind, amount: int) -> None:
        granted(self.tenant_id, str(amount), kind)

    def price(self, model: int) -> None:
        """New prices from now on."""
        self.tick()
        version(self.book_id, MODELS[model], valid_from=self.now)
        self.tick()

    def plan(self, fee: int, commitment: int, discount: int) -> None:
        """New terms from now on."""
        self.tick()
        contract(
            self.tenant_id,
            self.now,
            book_id=self.book_id,
            plan_fee=Decimal(fee),
            commitment=Decimal(commitment),
            discount=Decimal(discount) / 100,
        )
        self.tick()

    def tax(self, reverse_charge: bool) -> None:
        """The tenant moves its tax; the wallet follows."""
        operator = operator_of(self.tenant_id)
        with system_scope():
            if not TaxRate.objects.exists():
                tax_rate_set(
                    actor=operator,
                    jurisdiction="DE",
                    name="VAT",
                    rate=Decimal("0.19"),
                    valid_from=MARCH.start,
                )
            profile = NewProfile(country="DE", reverse_charge=reverse_charge)
            tax_profile_set(actor=operator, profile=profile)
            tax_apply(tenant_id=self.tenant_id, at=self.now)

    def tick(self) -> None:
        self.now += dt.timedelta(minutes=7)

    def pass_days(self, days: int) -> None:
        """Time goes by, and the platform looks at its statements, twice."""
        self.now += dt.timedelta(days=days)
        for _ in range(2):
            statements_advance(now=self.now, tenant_id=self.tenant_id)

    def crash(self) -> None:
        """Finalising is cut off after its last step; what it did is gone, and is done again."""
        with system_scope():
            waiting = Statement.objects.filter(
                tenant_id=self.tenant_id, state=StatementState.GRACE
            ).order_by("period")
            ids = list(waiting.values_list("id", flat=True))
        for statement_id in ids[:1]:
            with cut_off():
                statement_finalise(
                    actor=operator_of(self.tenant_id), statement_id=statement_id, now=self.now
                )

    def pay(self, percent: int, crashes: bool) -> None:
        """Pay part of the oldest open invoice, or more than it; perhaps cut off, and repeated."""
        invoice = self._oldest()
        if invoice is None:
            return
        amount = Money(max(invoice.remaining * percent / 100, Decimal("0.01")), "USD").rounded()
        key = new_id("b-")
        if crashes:
            with cut_off():
                self._pay(invoice, amount, key)
        for _ in range(2):
            with system_scope():
                self._pay(invoice, amount, key)

    def _pay(self, invoice: Invoice, amount: Money, key: str) -> None:
        payment_receive(
            actor=operator_of(self.tenant_id),
            provider="manual",
            external_id=key,
            amount=amount,
            invoice_id=invoice.id,
        )

    def give_back(self, percent: int, to: str) -> None:
        """A credit note over part of the latest invoice's first line that has something left."""
        with system_scope():
            invoice = self._invoices(InvoiceState.OPEN, InvoiceState.PAID).last()
            line = invoice and invoice.lines.filter(net__gt=0).first()
            if line is None:
                return
            net = Money(line.net * percent / 100, "USD").rounded().amount
            try:
                credit_note_issue(
                    actor=operator_of(self.tenant_id),
                    invoice_id=line.invoice_id,
                    key=new_id("k-"),
                    reason="complaint",
                    to=to,
                    lines={line.id: net},
                    now=self.now,
                )
            except (InvalidInput, Conflict):
                return  # more than is left, or nothing of it was paid: refused as a whole

    def void(self) -> None:
        invoice = self._oldest()
        if invoice is not None and not invoice.paid and not invoice.credited:
            with system_scope():
                try:
                    invoice_void(
                        actor=operator_of(self.tenant_id),
                        invoice_id=invoice.id,
                        reason="wrong",
                        now=self.now,
                    )
                except InvalidInput:
                    return  # nothing is left of it, net

    def _oldest(self) -> Invoice | None:
        with system_scope():
            found: Invoice | None = self._invoices(InvoiceState.OPEN).first()
        return found

    def _invoices(self, *states: InvoiceState):  # type: ignore[no-untyped-def]
        rows = Invoice.objects.filter(tenant_id=self.tenant_id, state__in=states)
        return rows.order_by("period")

    def finish(self) -> None:
        """Until nothing is left to state: the last months are empty."""
        for _ in range(2):
            month = Period.of(self.now).next()
            self.now = month.start + dt.timedelta(days=5)
            statements_advance(now=self.now, tenant_id=self.tenant_id)


Step = Callable[[History], None]
numbers = st.integers(0, 120)
use = st.builds(
    lambda q, b, c: lambda h: h.use(q, b, c),
    st.integers(1, 120),
    st.sampled_from([0, 0, 3, 36, 40]),
    st.booleans(),
)
days = st.builds(lambda d: lambda h: h.pass_days(d), st.sampled_from([2, 12, 36, 36]))
steps: st.SearchStrategy[Step] = st.one_of(
    use, use, use, use, use, days, days, days, days,
    st.builds(lambda w: lambda h: h.repeat(w), numbers),
    st.builds(lambda q: lambda h: h.waive(q), numbers),
    st.builds(lambda q, b: lambda h: h.quote(q, b), numbers, st.integers(0, 6)),
    st.builds(
        lambda k, a: lambda h: h.grant(k, a),
        st.sampled_from([GrantKind.PROMOTION, GrantKind.PAID]),
        st.integers(1, 15),
    ),
    st.builds(lambda m: lambda h: h.price(m), st.integers(0, len(MODELS) - 1)),
    st.builds(
        lambda f, c, d: lambda h: h.plan(f, c, d),
        st.integers(0, 30),
        st.sampled_from([0, 0, 40]),
        st.sampled_from([0, 15]),
    ),
    st.just(lambda h: h.crash()),
    st.builds(lambda p, c: lambda h: h.pay(p, c), st.sampled_from([30, 100, 130]), st.booleans()),
    st.builds(
        lambda p, t: lambda h: h.give_back(p, t),
        st.sampled_from([20, 100]),
        st.sampled_from(["invoice", "wallet", "payer"]),
    ),
    st.just(lambda h: h.void()),
    st.builds(lambda r: lambda h: h.tax(r), st.booleans()),
)  # fmt: skip


def histories(most: int) -> st.SearchStrategy[tuple[int, bool, list[Step]]]:
    """A first price, whether there is tax, and what happens."""
    length = st.integers(most // 2, most)
    return st.tuples(
        st.integers(0, len(MODELS) - 1),
        st.booleans(),
        length.flatmap(lambda n: st.lists(steps, min_size=n, max_size=n)),
    )


LIFE = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.generate),  # a failure is told at once, unshrunk
}


@settings(max_examples=30, **LIFE)
@given(histories(16))
def test_histories(history: tuple[int, bool, list[Step]]) -> None:
    live(*history)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=int(os.environ.get("LONG_HISTORIES", "8")), **LIFE)  # about 1.3 s each
@given(histories(60))
def test_long_histories(history: tuple[int, bool, list[Step]]) -> None:
    live(*history)


def live(model: int, taxed: bool, steps_: list[Step]) -> None:
    book_id = book(dict(MODELS[model]))
    tenant_id = customer()
    contract(tenant_id, MARCH.start, book_id=book_id)
    history = History(tenant_id, book_id)
    if taxed:
        history.tax(reverse_charge=False)
    for step in steps_:
        history.tick()
        step(history)
        with system_scope():
            check_books(tenant_id)
    history.finish()
    with system_scope():
        check_books(tenant_id)
        check_invoices(tenant_id)
        check_statements(history)
        check_receivable(tenant_id)


def check_books(tenant_id: str) -> None:
    """The ledger balances per currency; no wallet, grant or debt is below zero."""
    assert list(unbalanced()) == []
    assert list(projections_wrong()) == []
    for grant in CreditGrant.objects.filter(tenant_id=tenant_id):
        assert 0 <= grant.held <= grant.remaining <= grant.amount
    for wallet in Wallet.objects.filter(tenant_id=tenant_id):
        assert wallet.receivable >= 0


def check_invoices(tenant_id: str) -> None:
    """Each is the sum of its lines, in cents, and says where every cent went."""
    for invoice in Invoice.objects.filter(tenant_id=tenant_id).exclude(state=InvoiceState.DRAFT):
        lines = InvoiceLine.objects.filter(invoice=invoice).aggregate(net=Sum("net"))
        assert (lines["net"] or ZERO) == invoice.net
        assert invoice.net + invoice.tax == invoice.total
        credit = invoice.allowance + invoice.promotion + invoice.prepaid
        assert invoice.total - credit + invoice.brought_forward == invoice.due
        assert 0 <= invoice.remaining <= invoice.due
        for amount in (invoice.net, invoice.due, invoice.prepaid, invoice.promotion):
            assert amount == round(amount, 2)


def check_statements(history: History) -> None:
    """Rating again is the same to the byte; every unit is stated once, and all money with it."""
    statements = list(Statement.objects.filter(tenant_id=history.tenant_id).order_by("period"))
    assert {statement.state for statement in statements[:-1]} <= {StatementState.FINAL}
    final = [s for s in statements if s.state == StatementState.FINAL]
    for statement in final:
        text = statement_rerate(actor=operator_of(history.tenant_id), statement_id=statement.id)
        assert text.decode() == statement.rated
    events = UsageEvent.objects.filter(tenant_id=history.tenant_id)
    total = events.aggregate(total=Sum("quantity"))["total"] or ZERO
    assert total == sum(event.quantity for event in history.events)
    stated: dict[dt.date, Any] = {}  # each month as the last statement that looked at it has it
    for statement in final:
        stated |= stated_from_json(statement.charged["lines"])
    parts = [(key, part) for lines in stated.values() for key, part in lines.items()]
    assert sum(part.quantity for key, part in parts if key.kind == "usage") == total
    billed = InvoiceLine.objects.filter(tenant_id=history.tenant_id).aggregate(all=Sum("exact"))
    assert (billed["all"] or ZERO) == sum((part.exact for _, part in parts), ZERO)


def check_receivable(tenant_id: str) -> None:
    """What is owed is what open invoices say, less what went back off a debt and is still carried.

    Only a month of which nothing is due carries anything on. Cents, and what they were rounded by.
    """
    wallet = Wallet.objects.filter(tenant_id=tenant_id).first()
    if wallet is None:
        return
    invoices = Invoice.objects.filter(tenant_id=tenant_id)
    carried = -sum((invoice.brought_forward for invoice in invoices), ZERO)
    owed = sum((i.remaining for i in invoices if i.state == InvoiceState.OPEN), ZERO)
    assert abs(wallet.receivable - owed - carried) <= Decimal("0.01")
    assert carried <= 0
    for invoice in invoices:
        assert invoice.brought_forward <= 0 or invoice.due == 0
