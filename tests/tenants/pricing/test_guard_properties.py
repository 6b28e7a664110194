"""No sequence of changes brings a price below its floor without a record that allowed it.

A state machine over the real services on PostgreSQL: list prices and their schedules, contracts
with discounts, plans, pins and books of their own, credit, plugins' prices, proposals, overrides
and loss budgets that begin and end. Costs stand still: what costs do is the sweep's.

The reference is told apart from the guard: what a month of a million trained tokens comes to under
each card that the rating finds, now and wherever one begins, less what was given.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tenants.accounts.actors import Actor
from tenants.billing.services.credit import credit_grant
from tenants.kernel.clock import now
from tenants.kernel.errors import BreakwaterError
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import atomic, system_scope
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant
from tenants.marketplace.services.offering import prices_offer
from tenants.pricing.charge_json import model_from_json
from tenants.pricing.charge_models import amount
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK
from tenants.pricing.models import (
    Contract,
    LossBudget,
    PriceBookVersion,
    PriceOverride,
    PriceProposal,
)
from tenants.pricing.selectors import rate_card
from tenants.pricing.services import (
    contract_end,
    contract_write,
    loss_budget_close,
    loss_budget_open,
    price_book_create,
    price_override_grant,
    price_proposal_approve,
    price_proposal_end,
    price_proposal_make,
    price_proposals_advance,
    price_version_draft,
    price_version_publish,
)
from tenants.pricing.services.proposals import NewProposal
from tests.tenants.pricing.books import (
    charge,
    item,
    operator_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D
from tests.tenants.pricing.floors_made import DAY, WHY, cost_measure, per_million

pytestmark = pytest.mark.django_db

FLOOR, STOP = D(5), D("3.5")
MILLION = D(1_000_000)
METER = "tokens.trained"
dollars = st.decimals(min_value=3, max_value=9, places=1)
shares = st.sampled_from([D(0), D("0.05"), D("0.1"), D("0.2"), D("0.4")])
small = st.decimals(min_value=0, max_value=6, places=1)
days = st.integers(min_value=1, max_value=20)
pick = st.integers(min_value=0, max_value=9)


class Shop:
    """What all examples start from: two customers who train a million tokens a month for six."""

    def __init__(self) -> None:
        self.operator = operator_make()
        self.other = replace(self.operator, id="user_second")
        publish(prices_with(tokens_trained=per_million("6")))
        self.tenants = [tenant_make(name, credit="50") for name in ("Acme", "Birch")]
        for tenant in self.tenants:
            charge(tenant, "k", item(METER, 1_000_000, job_id="j"))
        cost_measure("5")
        self.books = [LIST_BOOK]
        for tenant in self.tenants:
            with system_scope():
                book = price_book_create(actor=self.operator, name="Own", tenant_id=tenant)
            publish(prices_with(tokens_trained=per_million("6")), book_id=book.id)
            self.books.append(book.id)


class Prices(RuleBasedStateMachine):
    """Each example is one transaction of the system's, taken back at its end."""

    shop: Shop
    refused = 0
    written = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(system_scope())

    def teardown(self) -> None:
        transaction.set_rollback(True, using="system")
        self.stack.close()

    def attempt(self, write: Callable[[], Any]) -> Any:
        """Its answer, or None where it was refused; then nothing of it stays."""
        try:
            with atomic():
                answer = write()
        except BreakwaterError:
            type(self).refused += 1
            return None
        type(self).written += 1
        return answer

    @property
    def operator(self) -> Actor:
        return self.shop.operator

    def tenant(self, number: int) -> str:
        return self.shop.tenants[number % len(self.shop.tenants)]

    def book(self, number: int) -> str:
        return self.shop.books[number % len(self.shop.books)]

    # what may be written -----

    @rule(
        number=pick,
        usd=dollars,
        free=st.sampled_from([0, 100_000, 300_000]),
        ahead=days,
        later=st.booleans(),
    )
    def publish(self, number: int, usd: Decimal, free: int, ahead: int, later: bool) -> None:
        charged = {**per_million(str(usd)), "allowance": str(free)}

        def write() -> None:
            draft = price_version_draft(
                actor=self.operator,
                book_id=self.book(number),
                prices=prices_with(tokens_trained=charged),
            )
            starts = now() + ahead * DAY if later else None
            price_version_publish(actor=self.operator, version_id=draft.id, valid_from=starts)

        self.attempt(write)

    @rule(number=pick, usd=dollars, first=dollars)
    def publish_tiers(self, number: int, usd: Decimal, first: Decimal) -> None:
        tiers = [{"up_to": "500000", "unit": str(first)}, {"up_to": None, "unit": str(usd)}]
        charged = {"model": "graduated", "per": "1000000", "tiers": tiers}

        def write() -> None:
            draft = price_version_draft(
                actor=self.operator,
                book_id=self.book(number),
                prices=prices_with(tokens_trained=charged),
            )
            price_version_publish(actor=self.operator, version_id=draft.id)

        self.attempt(write)

    @rule(
        number=pick,
        discount=shares,
        allowance=small,
        fee=small,
        cap=st.one_of(st.none(), small),
        own=st.booleans(),
        pin=st.booleans(),
        ends=st.one_of(st.none(), days),
    )
    def contract(self, number: int, ends: int | None, **of: Any) -> None:
        tenant = self.tenant(number)
        book = self.shop.books[1 + self.shop.tenants.index(tenant)] if of["own"] else ""
        terms = NewContract(
            book_id=book,
            pinned_version_id=FIRST_VERSION if of["pin"] and not book else "",
            discount=of["discount"],
            allowance=of["allowance"],
            plan_fee=of["fee"],
            cap=of["cap"],
            ends=None if ends is None else now() + ends * DAY,
        )
        self.attempt(lambda: contract_write(actor=self.operator, tenant_id=tenant, terms=terms))

    @rule(number=pick, ahead=st.one_of(st.none(), days))
    def contract_ends(self, number: int, ahead: int | None) -> None:
        at = None if ahead is None else now() + ahead * DAY
        tenant = self.tenant(number)
        self.attempt(lambda: contract_end(actor=self.operator, tenant_id=tenant, ends=at))

    @rule(number=pick, usd=st.decimals(min_value=1, max_value=30, places=0))
    def credit(self, number: int, usd: Decimal) -> None:
        actor = replace(self.operator, tenant_id=self.tenant(number))
        self.attempt(
            lambda: credit_grant(
                actor=actor,
                key=new_id("k"),
                kind=GrantKind.PROMOTION,
                amount=Money(usd, "USD"),
                reason="for the wait",
            )
        )

    @rule(usd=dollars)
    def plugin_prices(self, usd: Decimal) -> None:
        asked = [{"meter": "probe.pages", "amount": str(usd), "currency": "USD"}]
        self.attempt(lambda: prices_offer(actor=self.operator, plugin="probe", asked=asked))

    @rule(number=pick, of_book=st.booleans(), any_meter=st.booleans())
    def override(self, number: int, of_book: bool, any_meter: bool) -> None:
        whose = {"book_id": self.book(number)} if of_book else {"tenant_id": self.tenant(number)}
        self.attempt(
            lambda: price_override_grant(
                actor=self.operator,
                meter="*" if any_meter else METER,
                reason=WHY,
                expires_at=now() + 10 * DAY,
                **whose,
            )
        )

    @rule(number=pick, of_tenant=st.booleans())
    def budget(self, number: int, of_tenant: bool) -> None:
        whose = {"tenant_id": self.tenant(number)} if of_tenant else {}
        self.attempt(
            lambda: loss_budget_open(
                actor=self.operator,
                reason=WHY,
                amount=Money.of("10", "USD"),
                expires_at=now() + 25 * DAY,
                **whose,
            )
        )

    @rule(number=pick)
    def budget_closes(self, number: int) -> None:
        if (budget := chosen(LossBudget.objects.filter(ended_at__isnull=True), number)) is not None:
            self.attempt(lambda: loss_budget_close(actor=self.operator, budget_id=budget.id))

    @rule(number=pick, usd=dollars, lasts=days, budgeted=st.booleans(), one_base=st.booleans())
    def proposal(
        self, number: int, usd: Decimal, lasts: int, budgeted: bool, one_base: bool
    ) -> None:
        free = LossBudget.objects.filter(ended_at__isnull=True, tenant__isnull=True)
        budget = chosen(free, number) if budgeted else None
        proposal = NewProposal(
            book_id=self.book(number),
            meter=METER,
            match={"base": "mini"} if one_base else {},
            charge=per_million(str(usd)),
            ends=now() + lasts * DAY,
            note=WHY,
            loss_budget_id=budget.id if budget else "",
        )

        def write() -> None:
            made = price_proposal_make(actor=self.operator, proposal=proposal)
            price_proposal_approve(actor=self.shop.other, proposal_id=made.id)

        self.attempt(write)

    @rule(number=pick, early=st.booleans())
    def proposal_ends(self, number: int, early: bool) -> None:
        row = chosen(PriceProposal.objects.filter(state="active"), number)
        if row is None:
            return
        if early:
            self.attempt(
                lambda: price_proposal_end(actor=self.operator, proposal_id=row.id, reason=WHY)
            )
            return
        over = now() - dt.timedelta(seconds=1)
        PriceProposal.objects.filter(pk=row.id).update(starts=over - DAY, ends=over)
        assert price_proposals_advance() >= 1

    @rule()
    def time_passes(self) -> None:
        price_proposals_advance()

    # what must hold -----

    @invariant()
    def nothing_is_below_its_floor_unrecorded(self) -> None:
        for tenant in self.shop.tenants:
            for at in self.moments(tenant):
                self.check(tenant, at)

    def moments(self, tenant: str) -> list[dt.datetime]:
        """Now, and whenever something else begins."""
        moment = now() + dt.timedelta(seconds=1)
        rows = Contract.objects.filter(tenant_id=tenant)
        marks = [m for row in rows for m in (row.starts, row.ends) if m is not None]
        versions = PriceBookVersion.objects.filter(published_at__isnull=False)
        marks += versions.values_list("valid_from", flat=True)
        return [moment, *sorted(mark for mark in set(marks) if mark > moment)]

    def check(self, tenant: str, at: dt.datetime) -> None:
        card = rate_card(tenant, at)
        paid = month_paid(tenant, at)
        if paid >= FLOOR:
            return
        version = PriceBookVersion.objects.get(pk=card.version_id)
        book, begun = version.book_id, version.valid_from
        allowed = PriceOverride.objects.filter(meter__in=[METER, "*"])
        if allowed.filter(book_id=book).exists() or allowed.filter(tenant_id=tenant).exists():
            return
        assert paid >= STOP, f"{tenant} pays {paid} at {at}"
        budgets = LossBudget.objects.filter(tenant_id=tenant).exists()
        named = PriceProposal.objects.filter(book_id=book, loss_budget__isnull=False)
        price = card.price_of(METER, {"base": "mini"}).model
        ended, active = named.filter(state="ended"), named.filter(state="active", ends__gt=begun)
        its = [row for row in (*ended, *active) if model_from_json(row.charge) == price]
        assert budgets or its, f"{tenant} pays {paid} at {at}"


def month_paid(tenant: str, at: dt.datetime) -> Decimal:
    """What a million trained tokens come to in a month under what holds `at`, less what is given:
    a year's credit by twelfths, and the plan's that its fee does not pay for.
    """
    card = rate_card(tenant, at)
    model = card.price_of(METER, {"base": "mini"}).model
    rated = amount(model, MILLION) * (1 - card.discount)
    contract = Contract.objects.filter(pk=card.contract_id).first()
    given = (
        sum(
            (
                row.amount
                for row in CreditGrant.objects.filter(tenant_id=tenant, source="for the wait")
            ),
            D(0),
        )
        / 12
    )
    if contract is not None:
        rated = rated if contract.cap is None else min(rated, contract.cap)
        given += max(D(0), contract.allowance - contract.plan_fee)
    return max(D(0), rated - given) + D("1e-9")  # twelfths


def chosen(rows: Any, number: int) -> Any:
    found = list(rows.order_by("id"))
    return found[number % len(found)] if found else None


def run(examples: int, steps: int) -> None:
    shop = Shop()

    class Machine(Prices):
        pass

    Machine.shop = shop
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Machine.written > examples  # it is no machine that is refused everything
    assert Machine.refused > examples  # nor everything allowed


def test_no_sequence_brings_a_price_below_its_floor_unrecorded() -> None:
    run(examples=10, steps=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_long_sequence_brings_a_price_below_its_floor_unrecorded() -> None:
    run(examples=40, steps=20)
