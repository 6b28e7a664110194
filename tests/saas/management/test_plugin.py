"""`manage.py plugin` from a name to a plugin that an organisation uses, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from plugins.kit.report import report_read
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.partners.models import Installation, Release
from tests.tenants.partners.factories import SEVENTY, agree
from tests.tenants.partners.releases import partner_tenant
from tests.tenants.pricing.books import platform_make, tenant_make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("plugin", *arguments, stdout=out)
    return out.getvalue()


def test_from_a_name_to_an_organisation_that_uses_it(tmp_path: Path) -> None:
    platform_make()
    partner, customer = partner_tenant(), tenant_make()
    agree(partner.id, SEVENTY)
    made = run("new", "wordy", "--into", str(tmp_path), "--author", "A partner")
    assert str(tmp_path / "wordy" / "wordy" / "plugin.toml") in made
    report = tmp_path / "report.json"
    assert "wordy 0.1.0: passed" in run("check", str(tmp_path / "wordy"), "--report", str(report))
    assert report_read(report.read_text()).passed
    assert "wordy" not in run("list")
    said = run("install", str(tmp_path / "wordy"), "--partner", partner.id, "--title", "Words")
    assert "--grant data.datasets" in said
    assert "wordy 0.1.0  Partner: Words" in run("list")
    with pytest.raises(CommandError, match=r"wordy 0\.1\.0 asks for data\.datasets"):
        run("enable", "wordy", "--tenant", customer)
    granted = ("--tenant", customer, "--grant", "data.datasets")
    with pytest.raises(CommandError, match=r"settings\.least"):
        run("enable", "wordy", *granted, "--settings", '{"least": 0}')
    assert "is enabled" in run("enable", "wordy", *granted, "--settings", '{"least": 3}')
    assert "wordy 0.1.0  granted: data.datasets" in run("list", "--tenant", customer)
    with tenant_scope(customer):
        assert Installation.objects.get(plugin="wordy").settings == {"least": 3}
    assert "is disabled" in run("disable", "wordy", "--tenant", customer)
    assert run("list", "--tenant", customer) == ""
    with pytest.raises(CommandError, match="not enabled there"):
        run("disable", "wordy", "--tenant", customer)


def test_a_wheel_that_does_not_conform_is_not_installed(tmp_path: Path) -> None:
    partner = partner_tenant()
    run("new", "wordy", "--into", str(tmp_path))
    code = tmp_path / "wordy" / "wordy" / "plugin.py"
    code.write_text(code.read_text().replace("def run_step(", "def run_stap("))
    with pytest.raises(CommandError, match="unknown hook 'run_stap'"):
        run("install", str(tmp_path / "wordy"), "--partner", partner.id)
    with system_scope():
        assert not Release.objects.filter(plugin="wordy").exists()


def test_what_is_no_folder_of_a_plugin_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"has no pyproject\.toml"):
        run("check", str(tmp_path))
    with pytest.raises(CommandError, match="name of Python's own"):
        run("new", "class", "--into", str(tmp_path))
