"""What is sold below floors with leave: counted day by day, until its loss budget ends."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connections

from tenants.kernel.clock import now
from tenants.kernel.errors import (
    BreakwaterError,
    InvalidInput,
)
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.models import PriceProposal, SaleDay
from tenants.pricing.selectors.sold import loss_report, proposal_actual
from tenants.pricing.services import (
    contract_write,
    fx_rate_set,
    loss_budget_close,
    loss_budget_open,
    losses_record,
    price_book_create,
    price_proposals_advance,
)
from tests.tenants.pricing.books import (
    contract_make,
    operator_make,
    platform_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D
from tests.tenants.pricing.floors_made import (
    DAY,
    WHY,
    again,
    approve,
    budget_open,
    cost_measure,
    list_at_six,
    per_million,
    price_now,
    proposed,
    train,
)

pytestmark = pytest.mark.django_db

State = PriceProposal.State


@pytest.fixture
def sold() -> None:
    list_at_six()


@pytest.mark.usefixtures("sold")
def test_a_budget_is_consumed_by_what_is_sold_and_ends_its_proposals() -> None:
    budget = budget_open("1.5")
    proposal = approve(proposed("4", loss_budget_id=budget.id))
    tenant = tenant_make(credit="100")
    train(tenant, "a", 1_000_000)  # a dollar lost
    assert losses_record() == 0
    losses_record()  # counted once, however often
    again(budget)
    assert (budget.spent, budget.volume, budget.ended_at) == (1, 1_000_000, None)
    train(tenant, "b", 500_000)
    assert losses_record() == 1
    assert (again(budget).spent, budget.ended_why) == (D("1.5"), "spent")
    price_proposals_advance()
    assert (again(proposal).state, proposal.ended_why) == (
        State.ENDED, "its loss budget ended: spent"
    )  # fmt: skip
    assert price_now(tenant) == 6
    train(tenant, "c", 1_000_000)
    losses_record()
    assert again(budget).spent == D("1.5")  # at 6 nothing more was lost
    with system_scope():
        actual = proposal_actual(proposal)
        assert (actual.quantity, actual.revenue, actual.loss) == (1_500_000, 6, D("1.5"))
        assert SaleDay.objects.count() == 1


@pytest.mark.usefixtures("sold")
def test_a_floor_that_moves_leaves_the_days_that_were_counted() -> None:
    budget = budget_open()
    approve(proposed("4", loss_budget_id=budget.id))
    tenant = tenant_make(credit="100")
    train(tenant, "a", 1_000_000)
    losses_record()
    cost_measure("7")
    losses_record()
    assert again(budget).spent == 1


@pytest.mark.usefixtures("sold")
def test_losses_counted_at_once_count_once() -> None:
    budget = budget_open()
    approve(proposed("4", loss_budget_id=budget.id))
    tenant = tenant_make(credit="100")
    for number in range(5):
        train(tenant, f"k{number}", 1_000_000)
    begun = threading.Barrier(3)

    def run() -> None:
        begun.wait()
        losses_record()
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert again(budget).spent == 5
    with system_scope():
        assert SaleDay.objects.count() == 1


@pytest.mark.usefixtures("sold")
def test_a_tenants_own_budget_carries_its_discount_to_the_short_run_cost() -> None:
    tenant = tenant_make(credit="100")
    budget = budget_open("3", tenant_id=tenant)
    with pytest.raises(InvalidInput, match=r"short-run cost of 3\.5"):
        contract_make(tenant, discount=D("0.5"))
    contract_make(tenant, discount=D("0.3"))  # 4.2
    train(tenant, "a", 2_000_000)
    losses_record()
    assert (again(budget).spent, budget.ended_at) == (D("1.6"), None)
    with system_scope():
        report = loss_report(since=now() - DAY)
        assert [(row.tenant_id, row.net, row.due, row.loss) for row in report] == [
            (tenant, D("8.4"), 10, D("1.6"))
        ]
    actor = operator_make()
    with system_scope():
        loss_budget_close(actor=actor, budget_id=budget.id)
        with pytest.raises(InvalidInput, match="below the floor"):
            contract_write(actor=actor, tenant_id=tenant, terms=NewContract(discount=D("0.29")))


def test_what_was_sold_in_a_currency_without_a_rate_is_left_out_of_losses() -> None:
    """A book may be older than the first measured cost; it keeps no other from being told."""
    platform_make()
    actor, abroad, here = operator_make(), tenant_make(), tenant_make(credit="100")
    with system_scope():
        fx_rate_set(actor=actor, base="USD", quote="JPY", rate=D(150))
        fx_rate_set(actor=actor, base="JPY", quote="EUR", rate=D("0.006"))
        book = price_book_create(actor=actor, name="Euro", currency="EUR")
    publish(prices_with(tokens_trained=per_million("1")), book_id=book.id)
    contract_make(abroad, currency="JPY")
    contract_make(abroad, book_id=book.id, currency="EUR", credit_limit=D(1000))
    cost_measure("5")
    for tenant in (abroad, here):
        train(tenant, "a", 1_000_000)
    assert losses_record() == 0
    with system_scope():
        (lost,) = loss_report(since=now() - DAY)
    assert (lost.tenant_id, lost.net, lost.due) == (here, 4, 5)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"lasts": dt.timedelta(0)}, "expires_at"),
        ({"lasts": dt.timedelta(days=400)}, "expires_at"),
        ({"starts": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "starts"),
        ({"volume_cap": D(-1)}, "volume_cap"),
        ({"tenant_id": "ten_x"}, "tenant_id"),
    ],
)
def test_a_faulty_budget_is_refused(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BreakwaterError) as refused:
        budget_open(**change)
    assert refused.value.param == param


def test_a_loss_is_counted_in_the_currency_of_costs() -> None:
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput) as refused:
            loss_budget_open(
                actor=actor, reason=WHY, amount=Money.of("5", "EUR"), expires_at=now() + DAY
            )
    assert refused.value.code == "currency_mismatch"
