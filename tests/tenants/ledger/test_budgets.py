"""Budgets: hard ones refuse, soft ones tell; of a tenant, a key or a model."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.accounts.actors import system_actor
from tenants.accounts.models import AuditEntry
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.events import event_from_payload
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.outbox import Subscription, drain
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.audit import projections_wrong
from tenants.ledger.errors import BudgetExceeded, CreditExhausted
from tenants.ledger.events import BudgetPassed
from tenants.ledger.models import Budget
from tenants.ledger.selectors import BudgetStanding, budgets_of
from tests.tenants.ledger.factories import (
    balance_of,
    charge_make,
    customer_make,
    grant_make,
    hold_make,
    usd,
)

pytestmark = pytest.mark.django_db

MINE = {"api_key_id": "key_1", "model": "mini"}
OTHER = {"api_key_id": "key_2", "model": "maxi"}


def budget_make(
    tenant_id: str,
    subject: Budget.Subject = Budget.Subject.TENANT,
    ref: str = "",
    soft: str | None = None,
    hard: str | None = None,
    currency: str = "USD",
) -> Budget:
    with tenant_scope(tenant_id):
        return services.budget_create(
            actor=system_actor(tenant_id),
            subject=subject,
            ref=ref,
            currency=currency,
            soft=None if soft is None else Money.of(soft, currency),
            hard=None if hard is None else Money.of(hard, currency),
        )


def rich() -> str:
    tenant_id = customer_make()
    grant_make(tenant_id, "1000")
    return tenant_id


def standing(tenant_id: str) -> BudgetStanding:
    with tenant_scope(tenant_id):
        (found,) = budgets_of(tenant_id=tenant_id, period=now().date().replace(day=1))
    with system_scope():
        assert projections_wrong() == []
    return found


def passed() -> list[BudgetPassed]:
    with system_scope():
        rows = OutboxEvent.objects.filter(name="budget.passed").order_by("id")
        events = [event_from_payload(row.name, row.payload) for row in rows]
    return [event for event in events if isinstance(event, BudgetPassed)]


SUBJECTS = [
    (Budget.Subject.TENANT, "", True),
    (Budget.Subject.API_KEY, "key_1", False),
    (Budget.Subject.MODEL, "mini", False),
]


@pytest.mark.parametrize(("subject", "ref", "others_count"), SUBJECTS)
def test_a_hard_budget_refuses_what_would_pass_it(
    subject: Budget.Subject, ref: str, others_count: bool
) -> None:
    tenant_id = rich()
    budget = budget_make(tenant_id, subject, ref, hard="10")
    charge_make(tenant_id, "4", labels=MINE)
    hold_make(tenant_id, "5", labels=MINE)
    with pytest.raises(BudgetExceeded, match=budget.id) as refused:
        hold_make(tenant_id, "1.000000000001", labels=MINE)
    assert (refused.value.code, refused.value.status) == ("budget_exceeded", 402)
    if others_count:
        with pytest.raises(BudgetExceeded):
            hold_make(tenant_id, "2", labels=OTHER)
    else:
        hold_make(tenant_id, "500", labels=OTHER)
    hold_make(tenant_id, "1", labels=MINE)
    found = standing(tenant_id)
    assert (found.spent, found.held) == (usd(4), usd(6))


def test_an_extension_is_refused_too_and_what_is_let_go_makes_room() -> None:
    tenant_id = rich()
    budget_make(tenant_id, hard="10")
    key = hold_make(tenant_id, "8")
    with tenant_scope(tenant_id):
        with pytest.raises(BudgetExceeded):
            services.hold_extend(tenant_id=tenant_id, key=key, extra=usd("2.01"))
        assert services.hold_extend(tenant_id=tenant_id, key=key, extra=usd(2)) == usd(10)
        services.hold_release(tenant_id=tenant_id, key=key)
    assert standing(tenant_id).held == usd(0)
    hold_make(tenant_id, "10")


def test_a_charge_is_never_refused_and_moves_what_was_held_to_what_was_spent() -> None:
    tenant_id = rich()
    budget_make(tenant_id, hard="10")
    key = hold_make(tenant_id, "10", labels=MINE)
    charge_make(tenant_id, "3", hold_key=key, keep_hold=True, labels=MINE)
    found = standing(tenant_id)
    assert (found.spent, found.held) == (usd(3), usd(7))
    charge_make(tenant_id, "12", hold_key=key, labels=MINE)
    found = standing(tenant_id)
    assert (found.spent, found.held) == (usd(15), usd(0))
    charge_make(tenant_id, "-14")
    assert standing(tenant_id).spent == usd(1)
    hold_make(tenant_id, "9")


@pytest.mark.parametrize(("subject", "ref", "others_count"), SUBJECTS)
def test_a_budget_made_in_mid_month_counts_what_came_before(
    subject: Budget.Subject, ref: str, others_count: bool
) -> None:
    tenant_id = rich()
    last_month = now().replace(day=1) - dt.timedelta(days=2)
    charge_make(tenant_id, "4", labels=MINE)
    charge_make(tenant_id, "100", labels=MINE, occurred_at=last_month)
    charge_make(tenant_id, "16", labels=OTHER)
    hold_make(tenant_id, "2", labels=MINE)
    budget_make(tenant_id, subject, ref, hard="20.5")
    found = standing(tenant_id)
    assert (found.spent, found.held) == (usd(20 if others_count else 4), usd(2))
    if others_count:
        with pytest.raises(BudgetExceeded):
            hold_make(tenant_id, "1", labels=MINE)
    else:
        hold_make(tenant_id, "14.5", labels=MINE)


def test_a_late_charge_counts_in_its_own_month() -> None:
    tenant_id = rich()
    budget = budget_make(tenant_id, hard="10")
    last_month = now().replace(day=1) - dt.timedelta(days=2)
    charge_make(tenant_id, "9", occurred_at=last_month)
    charge_make(tenant_id, "1", occurred_at=last_month)
    assert standing(tenant_id).spent == usd(0)
    with tenant_scope(tenant_id):
        spends = dict(budget.spends.values_list("period", "spent"))
    assert spends[last_month.date().replace(day=1)] == 10


def test_tax_counts() -> None:
    tenant_id = customer_make(credit_limit="100", tax_rate="0.2", jurisdiction="AT")
    budget_make(tenant_id, hard="100")
    charge_make(tenant_id, "10")
    assert standing(tenant_id).spent == usd(12)


def test_a_soft_budget_tells_once_a_month_and_refuses_nothing() -> None:
    tenant_id = rich()
    budget = budget_make(tenant_id, Budget.Subject.MODEL, "mini", soft="10", hard="100")
    charge_make(tenant_id, "9.99", labels=MINE)
    charge_make(tenant_id, "50", labels=OTHER)
    assert passed() == []
    charge_make(tenant_id, "0.01", labels=MINE)
    charge_make(tenant_id, "30", labels=MINE)
    (event,) = passed()
    assert event == BudgetPassed(
        tenant_id=tenant_id,
        budget_id=budget.id,
        subject="model",
        ref="mini",
        period=now().date().replace(day=1).isoformat(),
        currency="USD",
        soft=Decimal(10),
        spent=Decimal(10),
    )
    charge_make(tenant_id, "70", labels=MINE, occurred_at=now().replace(day=1) - dt.timedelta(2))
    assert [event.period for event in passed()] != [event.period] * 2


def test_the_event_that_the_database_wrote_reaches_its_handlers() -> None:
    tenant_id = rich()
    budget_make(tenant_id, soft="1")
    charge_make(tenant_id, "2")
    heard: list[BudgetPassed] = []
    drain({BudgetPassed: (Subscription("test.heard", heard.append),)})
    assert [event.tenant_id for event in heard] == [tenant_id]


def test_a_soft_limit_set_below_what_was_spent_tells_at_once() -> None:
    tenant_id = rich()
    charge_make(tenant_id, "5")
    budget = budget_make(tenant_id, soft="6")
    assert passed() == []
    with tenant_scope(tenant_id):
        services.budget_update(
            actor=system_actor(tenant_id), budget_id=budget.id, soft=usd(5), hard=None
        )
    assert len(passed()) == 1


def test_work_whose_cost_comes_later_is_refused_without_credit_or_beyond_a_budget() -> None:
    tenant_id = customer_make()

    def require(**labels: str) -> Money:
        with tenant_scope(tenant_id):
            return services.credit_require(tenant_id=tenant_id, labels=labels)

    with pytest.raises(CreditExhausted) as refused:
        require()
    assert (refused.value.code, refused.value.status) == ("insufficient_credit", 402)
    grant_make(tenant_id, "50")
    assert require() == usd(50)
    budget_make(tenant_id, Budget.Subject.API_KEY, "key_1", hard="3")
    assert require(**MINE) == usd(50)
    charge_make(tenant_id, "2", labels=MINE)
    hold_make(tenant_id, "1", labels=MINE)
    with pytest.raises(BudgetExceeded):
        require(**MINE)
    assert require(**OTHER) == usd(47)
    budget_make(tenant_id, Budget.Subject.MODEL, "maxi", hard="0")
    with pytest.raises(BudgetExceeded):
        require(**OTHER)


def test_a_budget_is_changed_archived_and_made_anew_and_each_is_audited() -> None:
    tenant_id = rich()
    budget = budget_make(tenant_id, hard="1")
    with pytest.raises(Conflict) as refused:
        budget_make(tenant_id, hard="2")
    assert refused.value.code == "budget_exists"
    actor = system_actor(tenant_id)
    with tenant_scope(tenant_id):
        changed = services.budget_update(actor=actor, budget_id=budget.id, soft=usd(3), hard=usd(9))
        assert (changed.soft, changed.hard) == (3, 9)
        services.budget_archive(actor=actor, budget_id=budget.id)
        with pytest.raises(NotFound):
            services.budget_archive(actor=actor, budget_id=budget.id)
        with pytest.raises(NotFound):
            services.budget_update(actor=actor, budget_id="budget_x", soft=None, hard=usd(9))
    hold_make(tenant_id, "100")
    budget_make(tenant_id, hard="2")
    with tenant_scope(tenant_id):
        actions = AuditEntry.objects.filter(target=budget.id).values_list("action", flat=True)
        assert sorted(actions) == ["budget.archive", "budget.create", "budget.update"]


@pytest.mark.parametrize(
    ("subject", "ref", "soft", "hard"),
    [
        (Budget.Subject.TENANT, "", None, None),
        (Budget.Subject.TENANT, "key_1", None, "5"),
        (Budget.Subject.API_KEY, "", None, "5"),
        (Budget.Subject.TENANT, "", "6", "5"),
        (Budget.Subject.TENANT, "", "0", None),
        (Budget.Subject.TENANT, "", None, "-1"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(
    subject: Budget.Subject, ref: str, soft: str | None, hard: str | None
) -> None:
    with pytest.raises(InvalidInput):
        budget_make(rich(), subject, ref, soft, hard)


def test_a_budget_in_another_currency_does_not_count() -> None:
    tenant_id = rich()
    budget_make(tenant_id, hard="0", currency="EUR")
    hold_make(tenant_id, "5")
    assert balance_of(tenant_id).held == usd(5)
