"""Random histories of one tenant: what it and the platform may do, and strategies that draw it.

A history lives three months by a clock of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tenants.billing.models import Invoice, Statement, TaxRate
from tenants.billing.periods import Period
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.invoices import invoice_void
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.statements import statements_advance
from tenants.billing.services.tax import NewProfile, tax_apply, tax_profile_set, tax_rate_set
from tenants.billing.states import InvoiceState, StatementState
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind
from tests.tenants.billing.factories import (
    MARCH,
    contract,
    counted,
    granted,
    operator_of,
    used,
    version,
)

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
