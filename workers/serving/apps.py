from django.apps import AppConfig


class ServingConfig(AppConfig):
    name = "workers.serving"
    label = "serving"
