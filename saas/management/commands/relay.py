"""`manage.py relay`: hands events from the outbox to their handlers until it is told to stop."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from saas.celery import app
from saas.handlers import HANDLERS
from workers.tasks.relay import relay


class Command(BaseCommand):
    help = "Hand events from the outbox to their handlers."
    requires_system_checks: list[str] = []  # noqa: RUF012 -- Django's own form

    def handle(self, *_args: Any, **_options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        app.set_default()  # hints go out through this app
        relay(HANDLERS, stop=stop)
