"""What a campaign is refused for, and how long it will take: the platform's own work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.kernel.errors import InvalidInput, PermissionDenied
from tenants.market.campaigns.campaign import partners_asked
from tenants.market.campaigns.estimates import campaign_seconds
from tenants.market.campaigns.history import market_facts
from tenants.market.campaigns.policies.partners import PREFIX, plugins_named
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.selectors import market_history
from tenants.partners.models import Release
from tenants.partners.selectors import hearers

Seconds = tuple[float, float, float]
HOOK = "campaign_prices"


def complete(actor: Actor, given: Mapping[str, Any]) -> tuple[dict[str, Any], Seconds]:
    """The whole spec, the history in it, and its time. Raises PermissionDenied, InvalidInput.

    What the campaign knows is written down here, plugins' releases too, so that its seed gives the
    same result later.
    """
    if not Tenant.objects.filter(pk=actor.tenant_id, is_platform=True).exists():
        raise PermissionDenied("campaigns are rehearsed by the platform's own staff")
    campaign = dict(given.get("campaign") or {})
    if "market" not in campaign:
        campaign["market"] = market_facts(market_history())
    spec = CampaignSpec.read(campaign)
    found = {"campaign": spec.model_dump(mode="json")}
    plugins = _pinned(actor.tenant_id, partners_asked(spec))
    return found | ({"plugins": plugins} if plugins else {}), campaign_seconds(spec)


def policies_enabled(tenant_id: str) -> list[tuple[str, str]]:
    """Plugins' policies that a tenant's campaigns may name: full name and title."""
    return [
        (f"{PREFIX}{release.plugin}.{policy['name']}", policy["title"])
        for release in _releases(tenant_id)
        for policy in release.offers.get("campaign_policies", ())
    ]


def _pinned(tenant_id: str, names: list[str]) -> list[dict[str, Any]]:
    """The releases of the policies' plugins. Raises InvalidInput for what is not enabled."""
    if not names:
        return []
    known = [name for name, _ in policies_enabled(tenant_id)]
    if missing := [name for name in names if name not in known]:
        raise InvalidInput(
            f"no plugin that the platform's tenant enabled has the policy {missing[0]!r}; "
            f"there are {', '.join(known) or 'none'} (manage.py plugin enable)",
            param="policies",
        )
    asked = plugins_named(names)
    return [
        {"plugin": one.plugin, "version": one.version, "release_id": one.id}
        for one in _releases(tenant_id)
        if one.plugin in asked
    ]


def _releases(tenant_id: str) -> list[Release]:
    rows = hearers(HOOK).filter(tenant_id=tenant_id).order_by("plugin")
    return [row.release for row in rows]
