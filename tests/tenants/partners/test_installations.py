"""Installations: settings checked, secrets sealed, permissions granted, versions moved between."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.sdk import Page
from tenants.accounts.actors import system_actor
from tenants.accounts.roles import Role
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tenants.marketplace.services.builtins import builtins_release
from tenants.partners.calls import hooks_call
from tenants.partners.host import host_of
from tenants.partners.models import Installation
from tenants.partners.selectors import enabled_of
from tenants.partners.services import (
    plugin_configure,
    plugin_disable,
    plugin_enable,
    plugin_roll_back,
    plugin_upgrade,
)
from tests.tenants.partners.releases import enabled, published
from tests.tenants.pricing.books import platform_make
from tests.workers.jobs.factories import make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]


def test_a_secret_is_sealed_and_reaches_the_call_only(tmp_path: Path) -> None:
    published(tmp_path)
    tenant = make_tenant()
    row = enabled(tenant.id, token="hush", pause=0)
    with tenant_scope(tenant.id):
        kept = Installation.objects.get(pk=row.id)
        assert kept.settings == {"pause": 0}
        assert b"hush" not in bytes(kept.secrets)
        (ready,) = enabled_of(tenant.id)
        assert ready.settings == {"pause": 0, "token": "hush"}
        plugin_configure(
            actor=system_actor(tenant.id), installation_id=row.id, settings={"pause": 1}
        )
        (ready,) = enabled_of(tenant.id)
        assert ready.settings == {"pause": 1, "token": "hush"}


def test_what_is_not_granted_not_asked_for_or_not_a_setting_is_refused(tmp_path: Path) -> None:
    published(tmp_path)
    tenant = make_tenant()
    actor = system_actor(tenant.id)
    granted = ["data.datasets"]
    with tenant_scope(tenant.id):
        with pytest.raises(InvalidInput, match=r"asks for data\.datasets"):
            plugin_enable(actor=actor, plugin="counting", permissions=[])
        with pytest.raises(InvalidInput, match="does not ask for network"):
            plugin_enable(actor=actor, plugin="counting", permissions=[*granted, "network"])
        with pytest.raises(InvalidInput, match=r"settings\.pause"):
            plugin_enable(
                actor=actor, plugin="counting", permissions=granted, settings={"pause": "long"}
            )
        with pytest.raises(NotFound, match="does not offer other"):
            plugin_enable(actor=actor, plugin="other", permissions=[])
        plugin_enable(actor=actor, plugin="counting", permissions=granted)
        with pytest.raises(Conflict, match="enabled already"):
            plugin_enable(actor=actor, plugin="counting", permissions=granted)


def test_versions_go_forward_and_back(tmp_path: Path) -> None:
    partner = published(tmp_path)
    tenant = make_tenant()
    actor = system_actor(tenant.id)
    row = enabled(tenant.id)
    with tenant_scope(tenant.id):
        with pytest.raises(Conflict, match="enabled already"):
            plugin_upgrade(actor=actor, installation_id=row.id)
        with pytest.raises(Conflict, match="no version before"):
            plugin_roll_back(actor=actor, installation_id=row.id)
    published(tmp_path, partner, version="1.10")
    published(tmp_path, partner, version="1.9")
    with tenant_scope(tenant.id):
        row = plugin_upgrade(actor=actor, installation_id=row.id)
        assert (row.release.version, row.previous.version) == ("1.10", "1.0")
        row = plugin_roll_back(actor=actor, installation_id=row.id)
        assert row.release.version == "1.0"
        plugin_disable(actor=actor, installation_id=row.id)
        assert enabled_of(tenant.id) == []
        with pytest.raises(NotFound):
            plugin_roll_back(actor=actor, installation_id=row.id)


def test_the_one_door_calls_what_this_tenant_enabled_outside_of_any_scope(tmp_path: Path) -> None:
    published(tmp_path)
    tenant, other = make_tenant(), make_tenant()
    enabled(tenant.id)
    (outcome,) = hooks_call(tenant.id, "meters", {})
    assert [meter.name for meter in outcome.value] == ["lines"]
    assert hooks_call(other.id, "meters", {}) == ()
    with tenant_scope(tenant.id), pytest.raises(ScopeError):
        hooks_call(tenant.id, "meters", {})


def test_viewers_do_not_enable() -> None:
    from tenants.accounts.roles import GRANTS

    assert "plugins.write" not in GRANTS[Role.VIEWER] | GRANTS[Role.DEVELOPER]


def test_a_platform_that_outgrew_a_plugin_says_so_and_calls_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path, greatest_platform='"0.1"')
    with system_scope():
        builtins_release(tenant_id=platform_make())
    tenant = make_tenant()
    enabled(tenant.id)
    with tenant_scope(tenant.id):
        actor = system_actor(tenant.id)
        plugin_enable(actor=actor, plugin="usage_report", permissions=["data.usage"])
        releases = [each.release for each in Installation.objects.select_related("release")]
    monkeypatch.setattr("tenants.partners.host.code_version", lambda: "0.2.0")
    (outcome,) = hooks_call(tenant.id, "console_panels", {"page": Page("2027-01")})
    assert (outcome.plugin, outcome.failure) == ("usage_report", None)
    (refused,) = host_of(releases).refused
    assert (refused.name, refused.reason) == (
        "counting",
        "knows platforms up to 0.1; this is 0.2.0",
    )
