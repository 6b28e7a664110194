"""The history as a campaign's spec holds it: in counts, frozen when the campaign is made. Pure."""

from __future__ import annotations

from typing import Any

from tenants.market.moves import History
from tenants.market.rivals.facts import facts_of


def market_facts(history: History) -> dict[str, Any]:
    """What `CampaignSpec.market` is read from."""
    facts = facts_of(history)
    return {
        "classes": [
            {
                "model_class": one.model_class,
                "months": one.months,
                "cut_log_sizes": one.cut_log_sizes,
            }
            for one in facts.classes
        ],
        "rise_log_sizes": facts.rise_log_sizes,
        "launches": facts.launches,
        "provider_months": facts.provider_months,
    }
