"""Lock two stands on every table that belongs to a tenant; and no other table is left open."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connections

from saas.doctor.isolation import protections, tenant_tables
from tenants.kernel.tenancy import TenantModel

pytestmark = pytest.mark.django_db

# table with a tenant's id whose model is no TenantModel → what guards it instead
OTHERWISE_GUARDED = {
    "outbox_event": "has the same policy; tenant_id is null for the platform's own events",
    "bank_transfer": "hidden from the app's role altogether: the platform's own bank account",
    "price_book": "read-only; rows without a tenant are the list's, others their tenant's only",
    "price_book_version": "as price_book",
    "price": "as price_book",
    "price_override": "hidden from the app's role: costs and reasons are the platform's own",
    "stripe_finding": "hidden from the app's role: what operators look into; often nobody's yet",
    "waste_finding": "as cost_entry: what operators look into",
    "cost_day": "as cost_entry, whose sums it keeps",
    "floor_finding": "as price_override",
    "loss_budget": "as price_override",
    "sale_day": "as price_override",
    "cost_entry": "hidden from the app's role altogether: what compute costs is the platform's own",
}

# table without a policy that the app's role may write → why that is harmless
APP_MAY_WRITE = {"django_session": "sessions belong to browsers; their keys are the secret"}

HIDDEN = {
    "account_emailaddress", "account_emailconfirmation", "bank_transfer", "cohort", "cost_day",
    "cost_entry", "cost_overhead", "cost_rate", "cost_resource", "cost_worker_day",
    "document_number", "floor_finding", "floor_policy", "inbox_entry", "lever_measurement",
    "loss_budget", "meter_watermark", "partner_share", "plugin_health", "price_override",
    "price_proposal", "purchase_offer", "purchase_plan", "replica", "sale_day", "stripe_event",
    "stripe_finding", "waste_finding", "worker",
}  # fmt: skip


def app_rights(privilege: str) -> set[str]:
    """The tables on which the app's role has a privilege."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND has_table_privilege(current_user, oid, %s)",
            [privilege],
        )
        return {row[0] for row in cursor.fetchall()}


def test_every_tenants_table_is_under_a_forced_policy() -> None:
    found = protections()
    assert [table for table in tenant_tables() if not found[table].holds] == []


def test_every_tenants_table_has_an_index_that_starts_with_the_tenant() -> None:
    found = protections()
    lacking = {table for table in tenant_tables() if not found[table].leading}
    assert lacking == set()


def test_partitions_are_under_a_forced_policy_and_reached_through_their_parent_only() -> None:
    """A policy of the parent does not guard a partition that is addressed by name."""
    with connections["system"].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE relkind IN ('r', 'p')"
        )
        partitions = {row[0] for row in cursor.fetchall()}
    found = protections()
    assert len(partitions) >= 5
    assert [name for name in sorted(partitions) if not found[name].holds] == []
    for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        assert app_rights(privilege) & partitions == set()


def test_every_table_that_names_a_tenant_is_a_tenants_table() -> None:
    with connections["system"].cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id'"
        )
        named = {row[0] for row in cursor.fetchall()}
    assert named - set(tenant_tables()) == OTHERWISE_GUARDED.keys()


def test_what_is_hidden_from_tenants_is_not_even_readable() -> None:
    assert protections().keys() >= HIDDEN
    assert app_rights("SELECT") & HIDDEN == set()


def test_the_app_writes_only_what_policies_guard() -> None:
    found = protections()
    guarded = {table for table, protection in found.items() if protection.enabled}
    writable = app_rights("INSERT") | app_rights("UPDATE") | app_rights("DELETE")
    assert writable - guarded == APP_MAY_WRITE.keys()


def test_no_tenants_request_can_make_an_operator() -> None:
    assert "account_user" not in app_rights("UPDATE") | app_rights("INSERT")


def test_no_role_but_the_owner_may_truncate() -> None:
    """TRUNCATE knows no policy and fires no row trigger."""
    assert app_rights("TRUNCATE") == set()


def test_unique_constraints_of_tenants_tables_begin_with_the_tenant() -> None:
    """Else one tenant could find out what another has, by what is already taken."""
    leaking = {
        f"{model._meta.db_table}.{constraint.name}"
        for model in apps.get_models()
        if issubclass(model, TenantModel)
        for constraint in model._meta.constraints
        if getattr(constraint, "fields", ()) and "tenant" not in constraint.fields
    }
    assert leaking == {
        "attempt.attempt_one_open",  # by job id, which nobody chooses
    }


def test_models_and_migrations_say_the_same() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
