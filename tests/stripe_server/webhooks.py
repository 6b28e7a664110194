"""Webhooks: signed as Stripe signs them, and sent unless a test holds them back.

https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass

import httpx

from tests.stripe_server.store import Object, Store, visible

PAUSE_S = 1.0
MOST_TRIES = 30


def signature(payload: bytes, secret: str, at: int) -> str:
    """The header `Stripe-Signature`: HMAC-SHA256 of time and payload."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def payload_of(store: Store, event_id: str) -> bytes:
    """An event as it is sent."""
    event = visible(store.get("event", event_id))
    if event["account"] is None:
        del event["account"]
    return json.dumps(event).encode()


@dataclass(frozen=True)
class Endpoint:
    """Where events go to. `kinds`: of which; `connect`: those of connected accounts."""

    url: str
    secret: str
    kinds: frozenset[str] = frozenset({"*"})
    connect: bool | None = None  # None: our own account's and theirs

    def wants(self, event: Object) -> bool:
        is_theirs = event["account"] is not None
        return bool({"*", event["type"]} & self.kinds) and self.connect in {None, is_theirs}


def endpoints(store: Store, own: Endpoint | None) -> list[Endpoint]:
    """The one that the server was started with, and those made through the API."""
    made = [
        Endpoint(one["url"], one["_secret"], frozenset(one["enabled_events"]), one["_connect"])
        for one in store.where("webhook_endpoint", status="enabled")
    ]
    return [own, *made] if own is not None else made


class Sender(threading.Thread):
    """Sends what waits to each endpoint, in order, again until it is answered with 2xx.

    Without an endpoint, or while a test holds them, events wait.
    """

    def __init__(self, store: Store, lock: threading.Lock, own: Endpoint | None) -> None:
        super().__init__(daemon=True, name="webhooks")
        self._store, self._lock, self._own = store, lock, own
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopped.set()
        self.wake()

    def run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopped.is_set():
                return
            while (event_id := self._next()) is not None:
                self._deliver(event_id)

    def _next(self) -> str | None:
        with self._lock:
            waiting = self._store.state["deliveries"]
            is_held = self._store.state["is_held"] or not endpoints(self._store, self._own)
            return waiting[0] if waiting and not is_held and not self._stopped.is_set() else None

    def _deliver(self, event_id: str) -> None:
        with self._lock:
            event = self._store.get("event", event_id)
            payload = payload_of(self._store, event_id)
            wanted = [e for e in endpoints(self._store, self._own) if e.wants(event)]
        for endpoint in wanted:
            for _ in range(MOST_TRIES):
                if sent(payload, endpoint) or self._stopped.wait(PAUSE_S):
                    break
        with self._lock:
            event["pending_webhooks"] = 0
            waiting = self._store.state["deliveries"]
            if event_id in waiting:
                waiting.remove(event_id)


def sent(payload: bytes, endpoint: Endpoint) -> bool:
    """Whether it was answered with 2xx."""
    return posted(payload, endpoint.url, endpoint.secret, int(time.time())) // 100 == 2


def posted(payload: bytes, url: str, secret: str, at: int) -> int:
    """The status that a webhook was answered with; 0 where it was not."""
    headers = {
        "Stripe-Signature": signature(payload, secret, at),
        "Content-Type": "application/json",
    }
    try:
        return httpx.post(url, content=payload, headers=headers, timeout=10).status_code
    except httpx.HTTPError:
        return 0
