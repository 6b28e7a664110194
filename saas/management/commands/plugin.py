"""`manage.py plugin`: make, judge, list and install plugins; enable them for an organisation."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from plugins.host.errors import HostError
from plugins.kit import commands as kit
from plugins.kit.report import Report, report_lines, report_write
from plugins.sdk.codec import from_json
from tenants.accounts.actors import system_actor
from tenants.kernel.errors import BreakwaterError
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.kernel.version import code_version
from tenants.marketplace.services.listings import (
    listing_approve,
    listing_publish,
    listing_submit,
)
from tenants.marketplace.services.reviews import review_now
from tenants.partners.selectors import installations_visible, releases_offered
from tenants.partners.services.installations import plugin_disable, plugin_enable


class Command(BaseCommand):
    help = "Make, judge, list and install plugins; enable and disable them for an organisation."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = kit.arguments_add(parser)
        shown = commands.add_parser("list", help="what is on the marketplace")
        shown.add_argument("--tenant", default="", help="what this organisation enabled instead")
        install = commands.add_parser(
            "install", help="check a wheel, and publish it for its partner"
        )
        install.add_argument("path", type=Path, help="a wheel, or a folder that builds one")
        install.add_argument("--partner", required=True, help="the partner's organisation")
        install.add_argument("--title", default="", help="its name is taken where there is none")
        install.add_argument("--report", type=Path, help="write the conformance report here")
        enable = commands.add_parser("enable", help="let an organisation use a plugin")
        enable.add_argument("name")
        enable.add_argument("--tenant", required=True)
        enable.add_argument("--version", default="", dest="release", help="the newest otherwise")
        enable.add_argument("--grant", action="append", default=[], help="a permission; repeat it")
        enable.add_argument("--settings", default="{}", help="JSON, as the plugin's schema says")
        disable = commands.add_parser("disable", help="uninstall it from an organisation")
        disable.add_argument("name")
        disable.add_argument("--tenant", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        given = SimpleNamespace(**options)
        try:
            lines = getattr(self, f"_{given.command}")(given)
        except HostError as error:
            raise CommandError(str(error)) from error
        except BreakwaterError as error:
            raise CommandError(error.message) from error
        for line in lines:
            self.stdout.write(line)

    def _new(self, given: Any) -> list[str]:
        return kit.new(given, code_version())

    def _check(self, given: Any) -> list[str]:
        report = kit.check(given, code_version())
        lines = [*report_lines(report), kit.PROMISE]
        if not report.passed:
            raise CommandError("\n".join(lines))
        return lines

    def _list(self, given: Any) -> list[str]:
        if given.tenant:
            with tenant_scope(given.tenant):
                rows = list(installations_visible())
            return [f"{row.release}  granted: {', '.join(row.permissions)}" for row in rows]
        with system_scope():
            releases = list(releases_offered().order_by("plugin", "-published_at"))
        return [f"{each}  {each.publisher}: {each.title}" for each in releases]

    def _install(self, given: Any) -> list[str]:
        """The whole of a listing's life, by the operator at the machine: judged, then published."""
        with kit.wheel_of(given.path) as wheel:
            listing_id = _submit(given, wheel)
        actor = system_actor(given.partner)
        row = review_now(actor=actor, listing_id=listing_id)
        report = from_json(Report, row.conformance) if row.conformance else None
        if given.report and report:
            given.report.write_text(report_write(report))
        if row.state != "checked":
            told = report_lines(report) if report else []
            raise CommandError("\n".join([*told, f"{row} is {row.state}: {row.reason}"]))
        with system_scope():
            listing_approve(actor=actor, listing_id=listing_id, reason="installed by an operator")
            listing_publish(actor=actor, listing_id=listing_id)
        asked = " ".join(f"--grant {each}" for each in row.manifest["permissions"])
        enable = f"manage.py plugin enable {row.plugin} --tenant … {asked}"
        return [f"{row.plugin} {row.version} is on the marketplace; next: {enable.strip()}"]

    def _enable(self, given: Any) -> list[str]:
        try:
            settings = json.loads(given.settings)
        except ValueError as error:
            raise CommandError(f"--settings: no JSON: {error}") from error
        if not isinstance(settings, dict):
            raise CommandError("--settings: a JSON object is needed")
        with tenant_scope(given.tenant):
            row = plugin_enable(
                actor=system_actor(given.tenant),
                plugin=given.name,
                permissions=given.grant,
                settings=settings,
                version=given.release,
            )
        return [f"{row.release} is enabled"]

    def _disable(self, given: Any) -> list[str]:
        with tenant_scope(given.tenant):
            row = installations_visible().filter(plugin=given.name).first()
            if row is None:
                raise CommandError(f"{given.name} is not enabled there")
            plugin_disable(actor=system_actor(given.tenant), installation_id=row.id)
        return [f"{given.name} is disabled; its settings are gone, its history stays"]


def _submit(given: Any, wheel: Path) -> str:
    with tenant_scope(given.partner):
        row = listing_submit(
            actor=system_actor(given.partner),
            wheel_name=wheel.name,
            content=wheel.read_bytes(),
            title=given.title or wheel.name.partition("-")[0],
        )
    return str(row.id)
