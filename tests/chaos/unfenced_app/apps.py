"""Switches the fence off in one test process; nothing in the product can."""

from __future__ import annotations

from django.apps import AppConfig


class UnfencedConfig(AppConfig):
    name = "tests.chaos.unfenced_app"
    label = "unfenced"

    def ready(self) -> None:
        from workers.jobs import fencing
        from workers.tasks.heart import Heart

        fencing.token_holds = lambda *_: True
        Heart.lease_until = lambda self: float("inf")  # type: ignore[method-assign]
