from django.apps import AppConfig


class MarketConfig(AppConfig):
    name = "tenants.market"
    label = "market"
