"""The marketplace as customers see it, and what of it they enabled."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from plugins.sdk.hooks import declaring
from saas.api.fields import Amount, Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.partners.models import Installation, Release
from tenants.partners.secrets import secret_names
from tenants.partners.selectors import installation_get, installations_visible, releases_offered
from tenants.partners.services import (
    plugin_configure,
    plugin_disable,
    plugin_enable,
    plugin_roll_back,
    plugin_upgrade,
)

TAG = "plugins"
READ, WRITE = "plugins.read", "plugins.write"


class PluginPriceOut(serializers.Serializer[Any]):
    meter = serializers.CharField()
    amount = Amount()
    currency = serializers.CharField()


class ReleaseOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("marketplace.plugin")
    plugin = serializers.CharField()
    version = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    publisher = serializers.CharField(help_text="The partner's name.")
    licence = serializers.CharField()
    category = serializers.CharField()
    notice = serializers.CharField(help_text="What it must not be used for.")
    permissions = serializers.ListField(child=serializers.CharField())
    settings_schema = serializers.DictField(help_text="JSON Schema (2020-12).")
    pipelines = serializers.ListField(child=serializers.DictField())
    dataset_readers = serializers.ListField(child=serializers.DictField())
    training_methods = serializers.ListField(child=serializers.DictField())
    compression_methods = serializers.ListField(child=serializers.DictField())
    evaluations = serializers.ListField(child=serializers.DictField())
    hooks = serializers.ListField(
        child=serializers.CharField(), help_text="Where the platform calls it: docs/hooks.md."
    )
    meters = serializers.ListField(child=serializers.DictField())
    prices = PluginPriceOut(many=True)
    published_at = UnixTime()


class PluginsQuery(PageQuery):
    plugin = serializers.CharField(required=False, max_length=63)


class InstallationOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("plugin")
    plugin = serializers.CharField()
    version = serializers.CharField()
    previous_version = serializers.CharField(allow_null=True)
    settings = serializers.DictField()
    secrets = serializers.ListField(
        child=serializers.CharField(), help_text="Settings that are set and never shown."
    )
    permissions = serializers.ListField(child=serializers.CharField())
    suspended = serializers.CharField(allow_null=True, help_text="Why it is not called.")
    created_at = UnixTime()
    changed_at = UnixTime()


class EnableIn(serializers.Serializer[Any]):
    plugin = serializers.CharField(max_length=63)
    version = serializers.CharField(max_length=40, required=False, default="")
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=40), help_text="Those that it asks for, granted."
    )
    settings = serializers.DictField(required=False, default=dict)


class ConfigureIn(serializers.Serializer[Any]):
    settings = serializers.DictField()
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, allow_null=True, default=None
    )


class UpgradeIn(serializers.Serializer[Any]):
    version = serializers.CharField(max_length=40, required=False, default="")
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, allow_null=True, default=None
    )


def render_release(release: Release) -> dict[str, Any]:
    manifest, offers = release.manifest, release.offers
    answer: dict[str, Any] = ReleaseOut(
        {
            "id": release.id,
            "plugin": release.plugin,
            "version": release.version,
            "title": release.title,
            "description": release.description,
            "publisher": release.publisher,
            "licence": manifest["licence"],
            "category": manifest["category"],
            "notice": manifest.get("notice", ""),
            "permissions": manifest.get("permissions", []),
            "settings_schema": manifest.get("settings", {}),
            **{name: offers.get(name, []) for name in ("hooks", *declaring())},
            "published_at": release.published_at,
        }
    ).data
    return answer


def render(row: Installation) -> dict[str, Any]:
    answer: dict[str, Any] = InstallationOut(
        {
            "id": row.id,
            "plugin": row.plugin,
            "version": row.release.version,
            "previous_version": row.previous.version if row.previous else None,
            "settings": row.settings,
            "secrets": sorted(secret_names(row.release.manifest)) if row.secrets else [],
            "permissions": row.permissions,
            "suspended": row.release.suspended_because or None,
            "created_at": row.created_at,
            "changed_at": row.changed_at,
        }
    ).data
    return answer


class MarketplacePluginsView(ApiView):
    @operation(
        "List the marketplace's plugins",
        tag=TAG,
        needs=READ,
        answer=list_of(ReleaseOut),
        query=PluginsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(PluginsQuery)
        rows = releases_offered()
        rows = rows.filter(plugin=query["plugin"]) if "plugin" in query else rows
        return Response(page(rows, query, render_release))


class PluginsView(ApiView):
    @operation(
        "List enabled plugins",
        tag=TAG,
        needs=READ,
        answer=list_of(InstallationOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(installations_visible(), self.query(PageQuery), render))

    @operation(
        "Enable a plugin", tag=TAG, needs=WRITE, answer=InstallationOut, status=201, body=EnableIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        row = plugin_enable(actor=self.actor, **self.body(EnableIn))
        return Response(render(row), status=201)


class PluginView(ApiView):
    @operation("Retrieve an enabled plugin", tag=TAG, needs=READ, answer=InstallationOut)
    def get(self, request: Request, installation_id: str) -> Response:  # noqa: ARG002
        return Response(render(installation_get(installation_id)))

    @operation("Configure a plugin", tag=TAG, needs=WRITE, answer=InstallationOut, body=ConfigureIn)
    def post(self, request: Request, installation_id: str) -> Response:  # noqa: ARG002
        sent = self.body(ConfigureIn)
        row = plugin_configure(actor=self.actor, installation_id=installation_id, **sent)
        return Response(render(row))

    @operation("Disable a plugin", tag=TAG, needs=WRITE, answer=InstallationOut)
    def delete(self, request: Request, installation_id: str) -> Response:  # noqa: ARG002
        return Response(render(plugin_disable(actor=self.actor, installation_id=installation_id)))


class PluginUpgradeView(ApiView):
    @operation("Upgrade a plugin", tag=TAG, needs=WRITE, answer=InstallationOut, body=UpgradeIn)
    def post(self, request: Request, installation_id: str) -> Response:  # noqa: ARG002
        sent = self.body(UpgradeIn)
        row = plugin_upgrade(actor=self.actor, installation_id=installation_id, **sent)
        return Response(render(row))


class PluginRollBackView(ApiView):
    """To the version before."""

    @operation("Roll a plugin back", tag=TAG, needs=WRITE, answer=InstallationOut)
    def post(self, request: Request, installation_id: str) -> Response:  # noqa: ARG002
        return Response(render(plugin_roll_back(actor=self.actor, installation_id=installation_id)))
