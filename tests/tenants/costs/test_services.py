"""Slot time becomes cost entries, once and at the rate in force; rates are set by operators."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from tenants.accounts.actors import Actor, ActorKind, permissions
from tenants.accounts.models import AuditEntry
from tenants.accounts.roles import Role
from tenants.costs.models import CostEntry, Rate, Resource
from tenants.costs.services import rate_set, resources_ensure, slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tests.tenants.costs.factories import after, operator, resource_make, slot_time

pytestmark = pytest.mark.django_db


def record(*entries: SlotTime) -> int:
    with system_scope():
        return slot_time_record(entries=entries)


def rows(resource: str) -> list[CostEntry]:
    with system_scope():
        entries = CostEntry.objects.filter(resource_id=resource).select_related("rate")
        return list(entries.order_by("started_at", "key"))


def test_a_stretch_becomes_an_entry_at_the_rate_in_force() -> None:
    resource = resource_make((after(-100), "0.000011805556"))
    entry = slot_time(0, 7.25, resource=resource, labels={"kind": "fine_tune", "base": "mini"})
    assert record(entry) == 1
    (row,) = rows(resource)
    assert row.quantity == Decimal("7.25")
    assert row.amount == Decimal("0.000011805556") * Decimal("7.25")
    assert (row.currency, row.purpose, row.job_id, row.attempt) == ("USD", "job", "ftjob-1", 1)
    assert (row.worker, row.slot, row.tenant_id) == ("wrk_1", 0, "ten_1")
    assert (row.started_at, row.ended_at) == (after(0), after(7.25))
    assert row.labels == {"kind": "fine_tune", "base": "mini"}
    assert row.rate.amount == Decimal("0.000011805556")


def test_a_stretch_across_a_change_of_rate_is_one_entry_a_rate() -> None:
    resource = resource_make((after(-100), "1"), (after(10), "2"), (after(500), "5"))
    entry = slot_time(0, 30, resource=resource, key="k")
    assert record(entry) == 2
    assert [(r.quantity, r.amount, r.key) for r in rows(resource)] == [
        (10, 10, "k"),
        (20, 40, "k#1"),
    ]
    assert record(entry) == 0


def test_the_same_stretch_again_changes_nothing() -> None:
    resource = resource_make((after(-100), "1"))
    entries = [slot_time(n, n + 1, resource=resource) for n in range(5)]
    assert record(*entries[:3]) == 3
    assert record(*entries) == 2
    assert len(rows(resource)) == 5


@pytest.mark.parametrize(
    "other", [{"ended_at": after(2)}, {"job_id": "ftjob-2"}, {"slot": 1}, {"purpose": "retry"}]
)
def test_a_key_that_named_another_stretch_is_refused_and_nothing_is_kept(
    other: dict[str, Any],
) -> None:
    resource = resource_make((after(-100), "1"))
    record(slot_time(0, 1, resource=resource, key="k"))
    changed = slot_time(0, 1, **{"resource": resource, "key": "k"} | other)
    with pytest.raises(Conflict, match="'k'"):
        record(slot_time(5, 6, resource=resource), changed)
    assert len(rows(resource)) == 1


def test_a_stretch_of_no_time_leaves_no_entry() -> None:
    resource = resource_make((after(-100), "1"))
    assert record(slot_time(3, 3, resource=resource)) == 0
    assert record() == 0
    assert rows(resource) == []


def test_a_spot_worker_pays_the_spot_rate() -> None:
    resource = resource_make((after(-100), "5"))
    with system_scope():
        Rate.objects.create(
            resource_id=resource, kind="spot", amount=Decimal(2), valid_from=after(-100)
        )
    record(slot_time(0, 1, resource=resource, rate_kind="spot"))
    assert [row.amount for row in rows(resource)] == [2]


def test_an_unknown_resource_is_refused_by_name() -> None:
    with pytest.raises(NotFound, match=r"worker\.abacus"):
        record(slot_time(0, 1, resource="worker.abacus"))


def test_time_before_the_first_rate_is_refused() -> None:
    with pytest.raises(NotFound, match="no rate is in force"):
        record(slot_time(0, 1, resource=resource_make((after(100), "1"))))


def test_the_first_slot_time_finds_the_default_rates() -> None:
    assert record(slot_time(0, 3600, resource="worker.cpu")) == 1
    (row,) = rows("worker.cpu")
    assert Decimal("0.04") < row.amount < Decimal("0.05")  # an ordinary core-hour


def test_default_resources_are_made_once_and_never_overwrite_an_operators_rate() -> None:
    actor = operator()
    with system_scope():
        rate_set(actor=actor, resource_id="worker.cpu", amount=Decimal("0.5"))
        resources_ensure()
        resources_ensure()
        found = list(Rate.objects.filter(resource_id="worker.cpu").order_by("valid_from"))
    assert [rate.amount for rate in found] == [Decimal("0.000011805556"), Decimal("0.5")]


def test_a_rate_is_set_from_now_on_with_an_audit_row() -> None:
    resource, actor = resource_make((after(-100), "1")), operator()
    with system_scope():
        before = database_now()
        rate = rate_set(actor=actor, resource_id=resource, amount=Decimal("0.25"))
        entry = AuditEntry.objects.get(target=resource)
    assert rate.valid_from >= before
    assert (entry.action, entry.data["amount"]) == ("rate.set", "0.25")
    assert (entry.actor_id, entry.tenant_id) == (actor.id, actor.tenant_id)


def test_a_rate_set_today_leaves_the_past_as_it_was_priced() -> None:
    resource, actor = resource_make((after(-100), "1")), operator()
    with system_scope():
        now = database_now()
        rate_set(actor=actor, resource_id=resource, amount=Decimal(3))
    record(slot_time(0, 1, resource=resource))
    later = now + dt.timedelta(hours=1)
    record(
        slot_time(0, 1, resource=resource, started_at=later, ended_at=later + dt.timedelta(0, 1))
    )
    assert [row.amount for row in rows(resource)] == [1, 3]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"amount": Decimal(-1)}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"amount": Decimal("1e-13")}, "amount"),
        ({"amount": 0.5}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"kind": "stolen"}, "kind"),
        ({"valid_from": after(0)}, "valid_from"),
        ({"valid_from": dt.datetime(2099, 1, 1)}, "valid_from"),  # noqa: DTZ001 -- no time zone
    ],
)
def test_a_bad_rate_is_refused_by_the_field(changes: dict[str, Any], param: str) -> None:
    resource, actor = resource_make((after(-100), "1")), operator()
    asked: dict[str, Any] = {"resource_id": resource, "amount": Decimal(1)}
    with pytest.raises(InvalidInput) as refused, system_scope():
        rate_set(actor=actor, **asked | changes)
    assert refused.value.param == param


def test_two_rates_never_start_at_one_moment() -> None:
    resource, actor = resource_make(), operator()
    moment = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    with system_scope():
        rate_set(actor=actor, resource_id=resource, amount=Decimal(1), valid_from=moment)
        with pytest.raises(Conflict):
            rate_set(actor=actor, resource_id=resource, amount=Decimal(2), valid_from=moment)
        assert [rate.amount for rate in Rate.objects.filter(resource_id=resource)] == [1]


def test_an_unknown_resource_has_no_rate_to_set() -> None:
    actor = operator()
    with pytest.raises(NotFound), system_scope():
        rate_set(actor=actor, resource_id="worker.abacus", amount=Decimal(1))


def test_only_operators_set_rates() -> None:
    resource = resource_make()
    owner = Actor(
        kind=ActorKind.MEMBER,
        id="user_2",
        tenant_id="ten_1",
        may=permissions(Role.OWNER),
        role=Role.OWNER,
    )
    with pytest.raises(PermissionDenied), system_scope():
        rate_set(actor=owner, resource_id=resource, amount=Decimal(0))


def test_costs_are_written_by_the_system_only() -> None:
    actor = operator()
    with tenant_scope(actor.tenant_id):
        with pytest.raises(ScopeError):
            slot_time_record(entries=[slot_time(0, 1, resource="worker.cpu")])
        with pytest.raises(ScopeError):
            rate_set(actor=actor, resource_id="worker.cpu", amount=Decimal(1))


@pytest.mark.parametrize("model", [Resource, Rate, CostEntry])
def test_a_tenants_connection_cannot_even_read_what_compute_costs(model: Any) -> None:
    with tenant_scope(operator().tenant_id):
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            model.objects.exists()


@pytest.mark.parametrize("statement", ["UPDATE {} SET amount = 0", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["cost_entry", "cost_rate"])
@pytest.mark.parametrize("alias", ["system", "owner"])
def test_nobody_changes_or_deletes_entries_and_rates(
    statement: str, table: str, alias: str
) -> None:
    record(slot_time(0, 1, resource=resource_make((after(-100), "1"))))
    with connections[alias].cursor() as cursor:
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute(statement.format(table))
