from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    name = "tenants.marketplace"
    label = "marketplace"
