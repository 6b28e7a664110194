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

from tests.stripe_server.store import Store, visible

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


@dataclass
class Endpoint:
    url: str
    secret: str


class Sender(threading.Thread):
    """Sends what waits to the endpoint, in order, again until it is answered with 2xx."""

    def __init__(self, store: Store, lock: threading.Lock, endpoint: Endpoint) -> None:
        super().__init__(daemon=True, name="webhooks")
        self._store, self._lock, self._endpoint = store, lock, endpoint
        self._wake = threading.Event()

    def wake(self) -> None:
        self._wake.set()

    def run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while (event_id := self._next()) is not None:
                self._deliver(event_id)

    def _next(self) -> str | None:
        with self._lock:
            waiting = self._store.state["deliveries"]
            return waiting[0] if waiting else None

    def _deliver(self, event_id: str) -> None:
        with self._lock:
            payload = payload_of(self._store, event_id)
        for _ in range(MOST_TRIES):
            if self._sent(payload):
                break
            time.sleep(PAUSE_S)
        with self._lock:
            waiting = self._store.state["deliveries"]
            if event_id in waiting:
                waiting.remove(event_id)

    def _sent(self, payload: bytes) -> bool:
        signed = signature(payload, self._endpoint.secret, int(time.time()))
        headers = {"Stripe-Signature": signed, "Content-Type": "application/json"}
        try:
            answer = httpx.post(self._endpoint.url, content=payload, headers=headers, timeout=10)
        except httpx.HTTPError:
            return False
        return answer.is_success
