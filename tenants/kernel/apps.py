from django.apps import AppConfig
from django.core.checks import Tags, register


class KernelConfig(AppConfig):
    name = "tenants.kernel"
    label = "kernel"

    def ready(self) -> None:
        from tenants.kernel.roles_check import check_roles

        register(check_roles, Tags.database)
