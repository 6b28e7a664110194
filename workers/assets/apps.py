from django.apps import AppConfig


class AssetsConfig(AppConfig):
    name = "workers.assets"
    label = "assets"
