"""What a campaign is refused for, and how long it will take: the platform's own work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.kernel.errors import PermissionDenied
from tenants.market.campaigns.estimates import campaign_seconds
from tenants.market.campaigns.history import market_facts
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.selectors import market_history

Seconds = tuple[float, float, float]


def complete(actor: Actor, given: Mapping[str, Any]) -> tuple[dict[str, Any], Seconds]:
    """The whole spec, the history in it, and its time. Raises PermissionDenied, InvalidInput.

    What the campaign knows is written down here, so that its seed gives the same result later.
    """
    if not Tenant.objects.filter(pk=actor.tenant_id, is_platform=True).exists():
        raise PermissionDenied("campaigns are rehearsed by the platform's own staff")
    campaign = dict(given.get("campaign") or {})
    if "market" not in campaign:
        campaign["market"] = market_facts(market_history())
    spec = CampaignSpec.read(campaign)
    return {"campaign": spec.model_dump(mode="json")}, campaign_seconds(spec)
