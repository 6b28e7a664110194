"""Writes of the market."""

from tenants.market.services.alerts import alert_see
from tenants.market.services.classes import offer_set, product_classify
from tenants.market.services.imports import market_ensure, moves_import, price_list_import
from tenants.market.services.telling import alert_resend, alert_tell, alerts_send

__all__ = [
    "alert_resend",
    "alert_see",
    "alert_tell",
    "alerts_send",
    "market_ensure",
    "moves_import",
    "offer_set",
    "price_list_import",
    "product_classify",
]
