"""Panels by plugins at the console: their text, our tables, nothing of theirs but text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.scope import system_scope
from tenants.marketplace.services.builtins import builtins_release
from tenants.partners.models import Health
from tests.saas.api.factories import Caller, usage_make
from tests.saas.console.factories import Person
from tests.tenants.partners.releases import enabled, published

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]
SEES = '["data.usage"]'
URL = "/console/panels/"
DRAWING = """
from plugins.sdk import Panel, PluginError, hookimpl

@hookimpl
def console_panels(page):
    return %s
"""
FOREIGN = (
    DRAWING
    % """(
    Panel("a", "<script>alert(1)</script>", ("<b>bold</b>",), (("<img src=x onerror=y>",),)),
)"""
)
RAGGED = DRAWING % """(Panel("a", "Ragged", ("one", "two"), (("only",),)),)"""


def page_of(person: Person) -> str:
    answer = person.get(URL)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_built_in_draws_the_months_usage_for_whom_enabled_it(
    owner: Person, rival: Person
) -> None:
    platform = platform_tenant_ensure()
    with system_scope():
        builtins_release(tenant_id=platform.id)
    enabled(owner.tenant.id, "usage_report")
    usage_make(Caller(None, owner.tenant, owner.actor))
    page = page_of(owner)
    assert "Usage in 20" in page
    assert "<td>tokens.input</td>" in page
    assert "No plugin that you enabled draws panels." in page_of(rival)


def test_what_a_plugin_draws_is_text_and_a_ragged_table_is_its_failure(
    owner: Person, tmp_path: Path
) -> None:
    partner = published(tmp_path, name="foreign", code=FOREIGN, permissions=SEES)
    published(tmp_path, partner, name="ragged", code=RAGGED, permissions=SEES)
    for name in ("foreign", "ragged"):
        enabled(owner.tenant.id, name)
    page = page_of(owner)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<img src=x" not in page
    assert "This plugin gave no panel just now" in page
    with system_scope():
        (failed,) = Health.objects.exclude(failures={})
    assert failed.last_failure.endswith("a row has other cells than the 2 columns")
