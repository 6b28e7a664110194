"""Writes of partners: agreements, names, installations, health."""

from tenants.partners.services.agreements import (
    agreement_end,
    agreement_write,
    partner_get,
    seller_claim,
    staff_only,
)
from tenants.partners.services.health import health_record, release_suspend
from tenants.partners.services.installations import (
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
    "partner_get",
    "plugin_configure",
    "plugin_disable",
    "plugin_enable",
    "plugin_roll_back",
    "plugin_upgrade",
    "release_suspend",
    "seller_claim",
    "staff_only",
]
