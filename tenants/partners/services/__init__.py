"""Writes of partners: agreements, names, installations, health."""

from tenants.partners.services.agreements import (
    agreement_end,
    agreement_write,
    seller_claim,
)
from tenants.partners.services.health import health_record, release_suspend
from tenants.partners.services.installations import (
    installs_count,
    plugin_configure,
    plugin_disable,
    plugin_enable,
    plugin_roll_back,
    plugin_upgrade,
)

__all__ = [
    "agreement_end",
    "agreement_write",
    "health_record",
    "installs_count",
    "plugin_configure",
    "plugin_disable",
    "plugin_enable",
    "plugin_roll_back",
    "plugin_upgrade",
    "release_suspend",
    "seller_claim",
]
