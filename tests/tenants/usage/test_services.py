"""Usage is taken once: under repetition, reordering, batching, concurrency and rollback."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.db import DatabaseError, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.kernel.errors import Conflict
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageEvent, UsageKey
from tenants.usage.selectors import usage_total, usage_totals
from tenants.usage.services import usage_record
from tests.tenants.usage.factories import NOON, tenant_make, usage

pytestmark = pytest.mark.django_db

many_examples = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def record(tenant_id: str, *events: NewUsage) -> int:
    with tenant_scope(tenant_id):
        return usage_record(tenant_id=tenant_id, events=events)


def total(tenant_id: str) -> Decimal:
    with tenant_scope(tenant_id):
        return usage_total("tokens.input")


def test_an_event_is_kept_as_it_was_given() -> None:
    tenant_id = tenant_make()
    assert record(tenant_id, usage("k", 42, api_key_id="key_1")) == 1
    with tenant_scope(tenant_id):
        row = UsageEvent.objects.get()
    assert (row.meter, row.quantity, row.event_time) == ("tokens.input", Decimal(42), NOON)
    assert (row.source, row.key, row.tenant_id) == ("gateway", "k", tenant_id)
    assert row.dimensions["api_key_id"] == "key_1"
    assert row.id.startswith("use_")


def test_no_events_are_no_work() -> None:
    assert record(tenant_make()) == 0


def test_the_same_key_and_payload_counts_once_also_when_counted_later() -> None:
    tenant_id = tenant_make()
    assert record(tenant_id, usage("k", 42)) == 1
    assert record(tenant_id, usage("k", 42, at=NOON + dt.timedelta(hours=2))) == 0
    assert total(tenant_id) == 42
    with tenant_scope(tenant_id):
        assert UsageEvent.objects.get().event_time == NOON


def test_the_same_key_with_another_payload_is_refused_by_name_and_nothing_is_kept() -> None:
    tenant_id = tenant_make()
    record(tenant_id, usage("k", 42))
    with pytest.raises(Conflict, match="'k'") as refused, tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[usage("fresh", 1), usage("k", 43)])
    assert refused.value.code == "usage_key_conflict"
    assert total(tenant_id) == 42


def test_a_caller_that_survives_a_conflict_keeps_none_of_its_batch() -> None:
    tenant_id = tenant_make()
    record(tenant_id, usage("k", 42))
    with tenant_scope(tenant_id):
        with pytest.raises(Conflict):
            usage_record(tenant_id=tenant_id, events=[usage("fresh", 1), usage("k", 43)])
        usage_record(tenant_id=tenant_id, events=[usage("other", 5)])
    assert total(tenant_id) == 47


def test_a_rolled_back_transaction_frees_its_keys() -> None:
    tenant_id = tenant_make()
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[usage("k", 42)])
        transaction.set_rollback(True)
    assert record(tenant_id, usage("k", 7)) == 1
    assert total(tenant_id) == 7


def test_two_tenants_may_use_one_key_and_see_their_own_only() -> None:
    first, second = tenant_make(), tenant_make()
    record(first, usage("k", 1))
    record(second, usage("k", 2))
    assert (total(first), total(second)) == (1, 2)
    with system_scope():
        assert usage_total("tokens.input") == 3


def test_usage_of_another_tenant_than_the_one_in_scope_is_refused() -> None:
    first, second = tenant_make(), tenant_make()
    with pytest.raises(ScopeError), tenant_scope(first):
        usage_record(tenant_id=second, events=[usage("k")])
    with pytest.raises(ScopeError):
        usage_record(tenant_id=first, events=[usage("k")])


@pytest.mark.parametrize("statement", ["UPDATE {} SET key = 'x'", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["usage_event", "usage_key"])
@pytest.mark.parametrize("alias", ["system", "owner"])
def test_nobody_changes_or_deletes_what_was_counted(statement: str, table: str, alias: str) -> None:
    tenant_id = tenant_make()
    record(tenant_id, usage("k"))
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        # the owner is subject to the policies too: it acts as this tenant
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [tenant_id])
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute(statement.format(table))
        transaction.set_rollback(True, using=alias)


keys = st.sampled_from([f"k{n}" for n in range(8)])
histories = st.lists(st.lists(st.tuples(keys, st.integers(0, 3)), max_size=6), max_size=8)


@given(history=histories)
@many_examples
def test_any_history_leaves_each_key_with_its_first_accepted_payload(
    history: list[list[tuple[str, int]]],
) -> None:
    """The reference is a dictionary: a batch that contradicts it, or itself, changes nothing."""
    tenant_id, known = tenant_make(), dict[str, int]()
    for batch in history:
        fresh: dict[str, int] = {}
        fits = all(known.get(k, fresh.setdefault(k, q)) == q for k, q in batch)
        events = [usage(k, q) for k, q in batch]
        if not fits:
            with pytest.raises(Conflict):
                record(tenant_id, *events)
            continue
        new = fresh.keys() - known.keys()
        assert record(tenant_id, *events) == len(new)
        known.update({k: fresh[k] for k in new})
    with tenant_scope(tenant_id):
        kept = dict(UsageEvent.objects.values_list("key", "quantity"))
        assert UsageKey.objects.count() == len(known)
    assert kept == known


amounts = st.dictionaries(
    st.integers(0, 40),
    st.decimals(min_value=0, max_value=10**6, places=12),
    min_size=1,
    max_size=20,
)


@given(amounts=amounts, cut=st.integers(1, 7), order=st.randoms(use_true_random=False))
@many_examples
def test_totals_do_not_depend_on_order_batches_or_repetition(
    amounts: dict[int, Decimal], cut: int, order: random.Random
) -> None:
    tenant_id = tenant_make()
    events = [
        NewUsage("storage.gb_hours", quantity, NOON, "assets", f"k{number}")
        for number, quantity in amounts.items()
    ]
    again = [*events, *events]
    order.shuffle(again)
    for start in range(0, len(again), cut):
        record(tenant_id, *again[start : start + cut])
    with tenant_scope(tenant_id):
        (kept,) = usage_totals()
    assert kept.quantity == sum(amounts.values())


class Rival:
    """Another connection that records events in a transaction of its own, up to its commit."""

    def __init__(self, tenant_id: str, event: NewUsage) -> None:
        self.accepted: int | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(tenant_id, event))
        self._thread.start()

    def _run(self, tenant_id: str, event: NewUsage) -> None:
        try:
            self.accepted = record(tenant_id, event)
        except Conflict as error:
            self.error = error
        finally:
            connections.close_all()

    def wait_until_blocked(self) -> None:
        """Return once the database says that a session waits for another's lock."""
        with connections["owner"].cursor() as cursor:
            for _ in range(100_000):
                cursor.execute(
                    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                    " WHERE NOT l.granted AND a.datname = current_database()"
                )
                if cursor.fetchone()[0]:
                    return
        raise AssertionError("the rival was never blocked")

    def finish(self) -> None:
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


@pytest.fixture
def tenant_id() -> Iterator[str]:
    yield tenant_make()
    connections.close_all()


def race(tenant_id: str, mine: NewUsage, theirs: NewUsage, *, commit: bool) -> Rival:
    """Record `mine`, let a rival run into it with `theirs`, then commit or roll back."""
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[mine])
        rival = Rival(tenant_id, theirs)
        rival.wait_until_blocked()
        transaction.set_rollback(not commit)
    rival.finish()
    return rival


def test_of_two_at_once_with_one_event_one_is_counted(tenant_id: str) -> None:
    rival = race(tenant_id, usage("k", 42), usage("k", 42), commit=True)
    assert (rival.accepted, rival.error) == (0, None)
    assert total(tenant_id) == 42


def test_of_two_at_once_with_one_key_and_two_payloads_the_later_is_refused(tenant_id: str) -> None:
    rival = race(tenant_id, usage("k", 42), usage("k", 43), commit=True)
    assert isinstance(rival.error, Conflict)
    assert total(tenant_id) == 42


def test_where_the_first_of_two_at_once_rolls_back_the_other_is_counted(tenant_id: str) -> None:
    rival = race(tenant_id, usage("k", 42), usage("k", 43), commit=False)
    assert (rival.accepted, rival.error) == (1, None)
    assert total(tenant_id) == 43
