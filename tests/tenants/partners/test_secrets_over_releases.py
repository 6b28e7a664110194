"""Secret settings over releases that disagree on what is secret: none is ever shown again."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.accounts.actors import system_actor
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.partners.models import Installation, Release
from tenants.partners.selectors import enabled_of
from tenants.partners.services import (
    plugin_configure,
    plugin_enable,
    plugin_roll_back,
    plugin_upgrade,
)
from tests.saas.api.marketplace import MANIFEST
from tests.workers.jobs.factories import make_tenant

pytestmark = pytest.mark.django_db
PLUGIN, TOKEN = "keeper", {"token": "s3cret"}


def release(version: str, *, secret: bool) -> None:
    token = {"type": "string", **({"writeOnly": True} if secret else {})}
    schema = {"type": "object", "properties": {"token": token}}
    changed = {"name": PLUGIN, "version": version, "settings": schema}
    with system_scope():
        Release.objects.create(
            id=new_id("rel_"), plugin=PLUGIN, version=version, publisher="A test", title="Keeper",
            manifest=MANIFEST | changed, offers={"hooks": ["run_step"]},
        )  # fmt: skip


def given(tenant_id: str) -> Any:
    """What the plugin is called with."""
    (found,) = enabled_of(tenant_id, plugin=PLUGIN)
    return found.settings


def enable(tenant_id: str) -> Installation:
    return plugin_enable(
        actor=system_actor(tenant_id), plugin=PLUGIN, permissions=["data.datasets"], settings=TOKEN
    )


def test_what_the_next_release_calls_a_secret_is_sealed_and_stays_so_on_the_way_back() -> None:
    tenant_id = make_tenant().id
    release("1.0", secret=False)
    with tenant_scope(tenant_id):
        row = enable(tenant_id)
        assert row.settings == TOKEN
    release("2.0", secret=True)
    with tenant_scope(tenant_id):
        for move in (plugin_upgrade, plugin_roll_back):
            row = move(actor=system_actor(tenant_id), installation_id=row.id)
            assert (row.settings, bool(row.secrets), given(tenant_id)) == ({}, True, TOKEN)


def test_a_release_that_calls_no_secret_one_shows_none_and_takes_a_new_value() -> None:
    tenant_id = make_tenant().id
    release("1.0", secret=True)
    with tenant_scope(tenant_id):
        row = enable(tenant_id)
    release("2.0", secret=False)
    with tenant_scope(tenant_id):
        row = plugin_upgrade(actor=system_actor(tenant_id), installation_id=row.id)
        assert (row.settings, given(tenant_id)) == ({}, TOKEN)
        fresh = {"token": "told"}
        row = plugin_configure(
            actor=system_actor(tenant_id), installation_id=row.id, settings=fresh
        )
        assert (row.settings, given(tenant_id)) == (fresh, fresh)
