from django.apps import AppConfig


class StripeConfig(AppConfig):
    name = "tenants.billing.stripe"
    label = "stripe"
    default_auto_field = "django.db.models.BigAutoField"
