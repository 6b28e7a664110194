"""The database guards the books itself: balance, append-only, one writer, tenants apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections, transaction

from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import OWNER, SYSTEM, ScopeError, system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.chart import CUSTOMERS, PARTNERS, AccountKind, GrantKind, RevenueLine
from tenants.ledger.functions import FOR_TENANTS, FOR_THE_SYSTEM, TABLES
from tenants.ledger.models import LedgerAccount, LedgerPosting, LedgerTransaction
from tenants.ledger.selectors import ledger_balances, transactions_of, unbalanced
from tests.tenants.ledger.factories import (
    charge_make,
    customer_make,
    grant_make,
    hold_make,
    usd,
)

pytestmark = pytest.mark.django_db

APPEND_ONLY = ("ledger_account", "ledger_transaction", "ledger_posting", "funding")
PRIVILEGE = "42501"  # SQLSTATE insufficient_privilege


def rows(alias: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


@contextmanager
def refused(state: str) -> Iterator[None]:
    """The database refuses what happens inside, with this SQLSTATE."""
    with pytest.raises(DatabaseError) as error:
        yield
    cause = error.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert cause.sqlstate == state


def used_tenant() -> str:
    """A tenant with a row in every table."""
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    with tenant_scope(tenant_id), connections["default"].cursor() as cursor:
        cursor.execute("SELECT budget_create(%s, 'USD', 'tenant', '', NULL, 100)", [tenant_id])
    charge_make(tenant_id, "1")
    hold_make(tenant_id, "2")
    return tenant_id


def post_raw(cursor: Any, tenant_id: str, *amounts: tuple[str, str]) -> None:
    """As the owner, around every function: postings of (amount, currency) on one account."""
    cursor.execute(
        "INSERT INTO ledger_transaction (id, tenant_id, key, payload_hash, kind, occurred_at,"
        " labels, data, answer) VALUES ('txn_raw', %s, 'raw', '', 'raw', now(), '{}', '{}', '{}')",
        [tenant_id],
    )
    for amount, currency in amounts:
        cursor.execute(
            "INSERT INTO ledger_posting (transaction_id, account_id, tenant_id, amount, currency)"
            " SELECT 'txn_raw', id, tenant_id, %s, %s FROM ledger_account WHERE kind = 'cash'",
            [amount, currency],
        )


def test_the_database_refuses_at_commit_what_does_not_balance() -> None:
    tenant_id = used_tenant()
    with refused("BW422"), transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        post_raw(cursor, tenant_id, ("1", "USD"), ("-0.999999999999", "USD"))
        cursor.execute("SELECT 'still here: the check waits for the end'")
    with system_scope():
        assert unbalanced() == []
        assert not LedgerTransaction.objects.filter(key="raw").exists()


def test_two_currencies_do_not_make_up_for_each_other() -> None:
    tenant_id = used_tenant()
    with refused("BW422"), transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        post_raw(cursor, tenant_id, ("1", "USD"), ("-1", "EUR"))


def test_a_posting_added_to_an_old_transaction_is_refused() -> None:
    used_tenant()
    add = (
        "INSERT INTO ledger_posting (transaction_id, account_id, tenant_id, amount, currency)"
        " SELECT transaction_id, account_id, tenant_id, 1, currency FROM ledger_posting LIMIT 1"
    )
    with refused("BW422"), connections[OWNER].cursor() as cursor:
        cursor.execute(add)


def test_what_balances_may_be_written_so_the_check_is_what_refuses() -> None:
    tenant_id = used_tenant()
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        post_raw(cursor, tenant_id, ("1", "USD"), ("-1", "USD"))
    with system_scope():
        assert LedgerTransaction.objects.filter(key="raw").exists()


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}"])
def test_not_even_the_owner_changes_or_deletes_what_was_written(table: str, statement: str) -> None:
    used_tenant()
    with pytest.raises(DatabaseError, match="append-only"), connections[OWNER].cursor() as cursor:
        cursor.execute(statement.format(table))


@pytest.mark.parametrize("alias", ["default", SYSTEM])
@pytest.mark.parametrize("table", TABLES)
def test_no_role_writes_past_the_functions(alias: str, table: str) -> None:
    tenant_id = used_tenant()
    for statement in (
        f"INSERT INTO {table} (tenant_id) VALUES ('ten_x')",
        f"UPDATE {table} SET tenant_id = tenant_id",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
    ):
        with refused(PRIVILEGE), transaction.atomic(using=alias):
            rows(alias, "SELECT set_config('app.tenant', %s, true)", tenant_id)
            rows(alias, statement)


def callable_by(alias: str) -> set[str]:
    """Names of our functions that a connection's role may execute."""
    query = """
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        AND split_part(proname, '_', 1) IN ('ledger', 'wallet', 'hold', 'budget', 'charge')
        AND prorettype <> 'trigger'::regtype AND has_function_privilege(oid, 'EXECUTE')
    """
    return {name for (name,) in rows(alias, query)}


def test_roles_may_call_what_is_meant_for_them_and_nothing_internal() -> None:
    assert callable_by("default") == set(FOR_TENANTS)
    assert callable_by(SYSTEM) == {*FOR_TENANTS, *FOR_THE_SYSTEM}
    assert len(callable_by(OWNER)) > len(FOR_TENANTS) + len(FOR_THE_SYSTEM)


def test_every_entry_runs_as_the_owner_on_a_fixed_path() -> None:
    """A caller's search_path must not choose which tables a function writes."""
    query = """
        SELECT proname, prosecdef, proconfig FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname = ANY(%s)
    """
    entries = set(FOR_TENANTS) | set(FOR_THE_SYSTEM)
    harmless = {"ledger_for_all", "budget_counts", "budget_charged", "budget_held"}
    found = rows(OWNER, query, list(entries - harmless))
    assert {name for name, *_ in found} == entries - harmless
    assert {(secure, tuple(config)) for _, secure, config in found} == {
        (True, ("search_path=public, pg_temp",))
    }


def test_a_tenant_cannot_touch_anothers_wallet() -> None:
    victim, thief = used_tenant(), customer_make()
    for call in (
        "SELECT wallet_lock(%s, 'USD')",
        "SELECT wallet_check(%s, 'USD')",
        "SELECT wallet_hold(%s, 'USD', 'stolen', 1)",
        "SELECT wallet_extend(%s, 'hold1', 1)",
        "SELECT wallet_release(%s, 'hold1')",
        "SELECT wallet_charge(%s, 'USD', 'stolen', now(), '[]')",
        "SELECT budget_create(%s, 'USD', 'model', 'm', NULL, 0)",
        "SELECT budget_change(%s, 'budget_1', NULL, 0)",
        "SELECT budget_archive(%s, 'budget_1')",
    ):
        with refused("BW404"), tenant_scope(thief):
            rows("default", call, victim)
    with pytest.raises(ScopeError), tenant_scope(thief):
        services.hold_place(tenant_id=victim, key="stolen", amount=usd(1))


def test_the_apps_role_without_a_tenant_is_refused() -> None:
    tenant_id = used_tenant()
    with refused("BW404"):
        rows("default", "SELECT wallet_hold(%s, 'USD', 'nobody', 1)", tenant_id)


def test_a_tenant_reads_its_own_rows_only() -> None:
    first, second = used_tenant(), used_tenant()
    with tenant_scope(first):
        for table in TABLES:
            owners = {name for (name,) in rows("default", f"SELECT tenant_id FROM {table}")}
            assert owners == {first}, table
        kinds = set(LedgerPosting.objects.values_list("account__kind", flat=True))
        assert kinds <= CUSTOMERS
        assert {row.tenant_id for row in transactions_of(tenant_id=first)} == {first}
    with tenant_scope(second):
        assert transactions_of(tenant_id=first).count() == 0


def test_all_balances_together_are_zero_and_the_customers_is_what_it_has_left() -> None:
    tenant_id = used_tenant()
    with system_scope():
        balances = ledger_balances(currency="USD")
        assert sum(balance.amount.amount for balance in balances) == 0
        own = {b.kind: b.amount.amount for b in balances if b.tenant_id == tenant_id}
    assert own == {AccountKind.GRANT: -9, AccountKind.RECEIVABLE: 0}


def test_python_and_the_database_keep_one_chart() -> None:
    owners = dict(rows(OWNER, "SELECT kind, owner FROM ledger_chart()"))
    assert owners.keys() == set(AccountKind.values)
    assert {kind for kind, owner in owners.items() if owner == "customer"} == CUSTOMERS
    assert {kind for kind, owner in owners.items() if owner == "partner"} == PARTNERS
    assert rows(OWNER, "SELECT ledger_revenue_lines()") == [(RevenueLine.values,)]
    ranks = rows(OWNER, "SELECT k, wallet_rank(k) FROM unnest(%s::text[]) AS k", GrantKind.values)
    assert ranks == [(kind, place) for place, kind in enumerate(GrantKind.values, 1)]


def test_amounts_keep_twelve_decimals_and_round_half_to_even() -> None:
    query = "SELECT ledger_round(x::numeric)::text FROM unnest(%s::text[]) AS x"
    asked = ["0.0000000000005", "0.0000000000015", "-0.0000000000025", "1.00000000000051"]
    found = [amount for (amount,) in rows(OWNER, query, asked)]
    assert [float(amount) for amount in found] == [0, 2e-12, -2e-12, 1.000000000001]


def test_a_partners_accounts_belong_to_the_partner() -> None:
    customer, partner = customer_make(), customer_make()
    with system_scope():
        services.transaction_post(
            tenant_id=customer,
            key="share",
            kind="share",
            postings=[
                services.NewPosting(AccountKind.PARTNER_SHARE, usd(3)),
                services.NewPosting(AccountKind.PARTNER_PENDING, usd(-3), tenant_id=partner),
            ],
        )
        owner = LedgerAccount.objects.get(kind=AccountKind.PARTNER_PENDING).tenant_id
        assert owner == partner
        with pytest.raises(InvalidInput, match="whose"):
            services.transaction_post(
                tenant_id=customer,
                key="nobody's",
                kind="share",
                postings=[services.NewPosting(AccountKind.PARTNER_PENDING, usd(3))],
            )
