"""Lock two: with lock one off, the database itself shows a tenant its own rows only."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, ProgrammingError, connections, models, transaction

from tenants.accounts.models import ApiKey, AuditEntry, Member, Tenant, User
from tenants.accounts.services import SignedUp
from tenants.kernel.ids import new_id
from tenants.kernel.models import DataKey, InboxEntry, OutboxEvent
from tenants.kernel.scope import APP, OWNER, SYSTEM, system_scope, tenant_scope
from tenants.kernel.tenancy import TenantModel
from tenants.ledger.functions import TABLES as LEDGER_TABLES
from tests.tenants.accounts.factories import key_make, tenant_make

pytestmark = pytest.mark.django_db

# Every table with rows after two sign-ups and a key each; `account_user` holds people, not tenants.
FILLED = [Tenant, Member, ApiKey, AuditEntry, DataKey, OutboxEvent]
TENANT_MODELS = [m for m in apps.get_models() if issubclass(m, TenantModel)]
TENANT_TABLES = [*sorted(m._meta.db_table for m in TENANT_MODELS), "outbox_event"]


def plain(model: type[models.Model]) -> models.QuerySet[Any]:
    """A queryset that knows nothing of scopes."""
    return models.QuerySet(model, using=APP)


def owner_column(model: type[models.Model]) -> str:
    return "id" if model is Tenant else "tenant_id"


@pytest.fixture
def two() -> tuple[SignedUp, SignedUp]:
    """Two tenants with a key each."""
    victim, thief = tenant_make("Victim"), tenant_make("Thief")
    key_make(victim)
    key_make(thief)
    return victim, thief


@pytest.mark.parametrize("model", FILLED, ids=lambda m: m.__name__)
def test_a_plain_queryset_sees_the_tenants_own_rows(
    model: type[models.Model], two: tuple[SignedUp, SignedUp]
) -> None:
    victim, thief = two
    for tenant in (victim, thief):
        with tenant_scope(tenant.tenant.id):
            owners = set(plain(model).values_list(owner_column(model), flat=True))
        assert owners == {tenant.tenant.id}


@pytest.mark.parametrize("model", FILLED, ids=lambda m: m.__name__)
def test_without_a_scope_a_plain_queryset_sees_nothing(
    model: type[models.Model], two: tuple[SignedUp, SignedUp]
) -> None:
    assert not plain(model).exists()
    assert plain(model).count() == 0
    with transaction.atomic(using=APP):
        assert not plain(model).exists()


@pytest.mark.parametrize("model", FILLED, ids=lambda m: m.__name__)
def test_another_tenants_rows_are_neither_changed_nor_deleted(
    model: type[models.Model], two: tuple[SignedUp, SignedUp]
) -> None:
    victim, thief = two
    column = owner_column(model)
    with system_scope():
        before = list(
            models.QuerySet(model, using=SYSTEM).filter(**{column: victim.tenant.id}).values()
        )
    with tenant_scope(thief.tenant.id):
        theirs = plain(model).filter(**{column: victim.tenant.id})
        assert theirs.update(**{column: victim.tenant.id}) == 0
        assert theirs._raw_delete(APP) == 0
    with system_scope():
        after = models.QuerySet(model, using=SYSTEM).filter(**{column: victim.tenant.id})
        assert list(after.values()) == before != []


@pytest.mark.parametrize("model", [Member, ApiKey, DataKey, OutboxEvent], ids=lambda m: m.__name__)
def test_no_row_is_given_to_another_tenant(
    model: type[models.Model], two: tuple[SignedUp, SignedUp]
) -> None:
    victim, thief = two
    with pytest.raises(ProgrammingError, match="row-level security"):
        with tenant_scope(thief.tenant.id):
            plain(model).update(tenant_id=victim.tenant.id)


def test_no_row_is_inserted_for_another_tenant(two: tuple[SignedUp, SignedUp]) -> None:
    victim, thief = two
    row = DataKey(id=new_id("dk_"), tenant_id=victim.tenant.id, kek_id="k")
    with pytest.raises(ProgrammingError, match="row-level security"):
        with tenant_scope(thief.tenant.id):
            plain(DataKey).bulk_create([row])


def test_people_are_seen_by_the_tenants_they_belong_to(two: tuple[SignedUp, SignedUp]) -> None:
    _, thief = two
    with tenant_scope(thief.tenant.id):
        assert [user.pk for user in User.objects.all()] == [thief.user.pk]
    assert not User.objects.exists()


def test_tenants_never_change_people(two: tuple[SignedUp, SignedUp]) -> None:
    """Or a slip in a tenant's code could make an operator."""
    _, thief = two
    for change in (
        lambda: User.objects.update(is_staff=True),
        lambda: User.objects.filter(pk=thief.user.pk)._raw_delete(APP),
        lambda: User.objects.create_user("x@example.test", "a long password"),
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            with tenant_scope(thief.tenant.id):
                change()


def test_the_platforms_own_tables_are_closed_to_tenants(two: tuple[SignedUp, SignedUp]) -> None:
    _, thief = two
    with pytest.raises(ProgrammingError, match="permission denied"), tenant_scope(thief.tenant.id):
        InboxEntry.objects.exists()


@pytest.mark.parametrize("alias", [APP, SYSTEM, OWNER])
@pytest.mark.parametrize(
    "change", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry"]
)
def test_nobody_rewrites_the_audit_trail(
    alias: str, change: str, two: tuple[SignedUp, SignedUp]
) -> None:
    victim, _ = two
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [victim.tenant.id])
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(using=alias):
            cursor.execute(change)


OWNERS_POLICIES = ["ledger_writer", "kept_by_trigger", "moved_by_owner", "partner_terms_reader"]


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_every_tenants_table_has_the_one_policy_in_force_for_its_owner_too(table: str) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass",
            [table],
        )
        assert cursor.fetchone() == (True, True)
        cursor.execute(
            "SELECT permissive, roles::text, cmd, qual, with_check FROM pg_policies "
            "WHERE schemaname = 'public' AND tablename = %s AND policyname <> ALL (%s)",
            [table, OWNERS_POLICIES],
        )
        ((permissive, roles, command, using, check),) = cursor.fetchall()
    assert (permissive, roles, command) == ("PERMISSIVE", "{public}", "ALL")
    assert using == check
    assert "tenant_id" in using
    assert "NULLIF(current_setting('app.tenant'::text, true), ''::text)" in using


def test_past_the_policies_goes_only_the_owner_as_whom_the_databases_functions_run() -> None:
    """The ledger's functions, the trigger that sums usage by hour, the mover of late months, the
    reader of partners' terms."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT tablename, cmd, qual, with_check FROM pg_policies"
            " WHERE policyname = ANY (%s) AND roles = ARRAY[current_user]",
            [OWNERS_POLICIES],
        )
        found = {table: tuple(policy) for table, *policy in cursor.fetchall()}
        cursor.execute("SELECT count(*) FROM pg_policies WHERE current_user = ANY (roles)")
        assert cursor.fetchone()[0] == len(found)
    everything = ("ALL", "true", "true")
    usage = dict.fromkeys(["usage_hour", "usage_event_default"], everything)
    outbox = ("INSERT", None, "((name)::text = 'budget.passed'::text)")
    assert found == {
        **dict.fromkeys(LEDGER_TABLES, everything),
        **usage,
        "agreement": ("SELECT", "true", None),
        "tenant": ("SELECT", "true", None),
        "outbox_event": outbox,
    }
