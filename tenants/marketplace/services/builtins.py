"""The platform's own plugins on its marketplace: released with it, not reviewed. System scope."""

from __future__ import annotations

from plugins.builtin.catalogue import builtins
from plugins.host.catalog import Plugin
from plugins.sdk.codec import to_json
from tenants.accounts.actors import system_actor
from tenants.billing.operators import system_only
from tenants.kernel.ids import new_id
from tenants.marketplace.examining import declarations
from tenants.marketplace.services.offering import agreed_prices_ensure, services_offer
from tenants.partners.models import Release

PUBLISHER = "Breakwater"


def builtins_release(*, tenant_id: str) -> int:
    """Put what this version of the platform brings on the marketplace, and its services into the
    catalogue; `tenant_id` is the platform's own. Safe to repeat. Returns how many were new.
    """
    system_only()
    agreed_prices_ensure(actor=system_actor(tenant_id))
    made = 0
    for manifest, module in builtins():
        known = Release.objects.filter(plugin=manifest.name, version=manifest.version)
        if known.exists():
            continue
        plugin = Plugin(manifest, module, "trusted", builtin=True)
        offers = declarations(plugin, tenant_id)
        Release.objects.create(
            id=new_id("rel_"),
            plugin=manifest.name,
            version=manifest.version,
            publisher=PUBLISHER,
            title=manifest.name.replace("_", " ").capitalize(),
            manifest=to_json(manifest),
            offers=offers,
        )
        services_offer(
            tenant_id=tenant_id, plugin=manifest.name, declared=offers.get("services", ())
        )
        made += 1
    return made
