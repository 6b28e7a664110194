"""The relay: hands outbox events to their handlers. Woken by NOTIFY, kept honest by polling."""

from __future__ import annotations

import threading

import psycopg
import structlog
from django.db import connections

from tenants.kernel.outbox import CHANNEL, HandlerTable, drain
from tenants.kernel.scope import SYSTEM
from workers.tasks.database import OUTAGES, brief_connections

log = structlog.get_logger(__name__)

POLL_S = 1.0
OUTAGE_PAUSE_S = 0.5


def relay(handlers: HandlerTable, *, stop: threading.Event) -> None:
    """Drain the outbox until `stop` is set. A lost database is waited for."""
    while not stop.is_set():
        try:
            with _listener() as listener:
                while not stop.is_set():
                    _drain_all(handlers, stop)
                    for _ in listener.notifies(timeout=POLL_S, stop_after=1):
                        pass
        except (psycopg.OperationalError, *OUTAGES) as error:
            log.warning("relay waits for the database", error=str(error))
            stop.wait(OUTAGE_PAUSE_S)


def _drain_all(handlers: HandlerTable, stop: threading.Event) -> None:
    with brief_connections():
        while not stop.is_set() and drain(handlers):
            pass


def _listener() -> psycopg.Connection[tuple[object, ...]]:
    """A connection of its own: LISTEN belongs to a session, which a pool does not promise."""
    settings = connections[SYSTEM].settings_dict
    connection = psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
        connect_timeout=5,
        autocommit=True,
    )
    connection.execute(f"LISTEN {CHANNEL}")
    return connection
