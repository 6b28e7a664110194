"""The marketplace's plugins, and those that the organisation enabled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.readonly import Act, ReadOnlyAdmin, Section
from tenants.partners.models import Installation, Release
from tenants.partners.services import (
    plugin_configure,
    plugin_disable,
    plugin_enable,
    plugin_roll_back,
    plugin_upgrade,
)


class SettingsForm(forms.Form):
    settings = forms.JSONField(
        label=_("Settings"),
        required=False,
        help_text=_("JSON, as the plugin's schema has it. Secrets are sealed and never shown."),
    )


class EnableForm(SettingsForm):
    granted = forms.BooleanField(label=_("I grant all permissions that it asks for"))
    field_order = ("granted", "settings")


def _enable(request: HttpRequest, release_id: str, *, granted: bool, settings: Any) -> Any:
    del granted  # the form asks for it
    release = Release.objects.get(pk=release_id)
    return plugin_enable(
        actor=actor_of(request),
        plugin=release.plugin,
        version=release.version,
        permissions=release.manifest["permissions"],
        settings=settings or {},
    )


def _configure(request: HttpRequest, row_id: str, *, settings: Any) -> Any:
    return plugin_configure(
        actor=actor_of(request), installation_id=row_id, settings=settings or {}
    )


def _upgrade(request: HttpRequest, row_id: str) -> Any:
    return plugin_upgrade(actor=actor_of(request), installation_id=row_id)


def _roll_back(request: HttpRequest, row_id: str) -> Any:
    return plugin_roll_back(actor=actor_of(request), installation_id=row_id)


def _disable(request: HttpRequest, row_id: str) -> Any:
    return plugin_disable(actor=actor_of(request), installation_id=row_id)


def _permissions(release: Release) -> str:
    return ", ".join(release.manifest.get("permissions", [])) or show.NONE


class ReleaseAdmin(ReadOnlyAdmin):
    reads = "plugins.read"
    title = _("Marketplace")
    intro = _("Plugins that were reviewed. They run confined, and see what you grant only.")
    empty = _("Nothing is on offer yet.")
    ordering = ("title",)
    list_display = (
        show.text("title", _("Plugin"), sort=True),
        show.text("version", _("Version")),
        show.text("publisher", _("Publisher"), sort=True),
        show.column(_permissions, _("Permissions")),
        show.moment("published_at", _("Published")),
    )
    search_fields = ("plugin", "title", "publisher")
    details = (
        *list_display,
        show.code("plugin", _("Name")),
        show.text("description", _("Description")),
        show.column(lambda row: row.manifest["licence"], _("Licence")),
        show.column(lambda row: row.manifest.get("notice"), _("Notice")),
        show.code("wheel_sha256", "SHA-256"),
    )
    acts = (
        Act(
            name="enable",
            label=_("Enable"),
            permission="plugins.write",
            run=_enable,
            done=_("The plugin is enabled."),
            form=EnableForm,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(suspended_at__isnull=True)

    def sections(self, request: HttpRequest, row: Release) -> Sequence[Section]:
        del request
        prices = [type("Price", (), price) for price in row.offers.get("prices", ())]
        pipelines = [type("Pipeline", (), each) for each in row.offers.get("pipelines", ())]
        return (
            Section(
                _("Pipelines"),
                (show.code("name", _("Name")), show.text("title", _("Title"))),
                pipelines,
            ),
            Section(
                _("Prices"),
                (
                    show.text("meter", _("Meter")),
                    show.right(show.text("amount", _("Of one"))),
                    show.text("currency", _("Currency")),
                ),
                prices,
            ),
        )


class InstallationAdmin(ReadOnlyAdmin):
    reads = "plugins.read"
    title = _("Enabled plugins")
    intro = _("Each with its version, its settings, and what it was granted.")
    empty = _("No plugin is enabled yet. The marketplace shows what there is.")
    list_display = (
        show.text("release.title", _("Plugin")),
        show.text("release.version", _("Version")),
        show.derived("permissions", _("Permissions"), lambda value: ", ".join(value) or show.NONE),
        show.text("release.suspended_because", _("Suspended")),
        show.moment("changed_at", _("Changed")),
    )
    list_select_related = ("release", "previous")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.column(lambda row: row.previous and row.previous.version, _("Version before")),
        show.derived("settings", _("Settings"), show.as_pairs),
        show.moment("created_at", _("Enabled")),
    )
    acts = (
        Act(
            name="configure",
            label=_("Change settings"),
            permission="plugins.write",
            run=_configure,
            done=_("The settings are changed."),
            form=SettingsForm,
            initial=lambda row: {"settings": row.settings},
        ),
        Act(
            name="upgrade",
            label=_("Upgrade"),
            permission="plugins.write",
            run=_upgrade,
            done=_("The newest version is enabled."),
        ),
        Act(
            name="roll_back",
            label=_("Roll back"),
            permission="plugins.write",
            run=_roll_back,
            done=_("The version before is enabled again."),
            offered=lambda row: row.previous_id is not None,
        ),
        Act(
            name="disable",
            label=_("Disable"),
            permission="plugins.write",
            run=_disable,
            done=_("The plugin is disabled."),
            danger=True,
            confirm=_("Disable this plugin? Its settings are forgotten."),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(removed_at__isnull=True)

    def heading(self, row: Installation) -> str:
        return str(row.release)
