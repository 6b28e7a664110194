"""The HTTP server: the standard library's, because faults break connections."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.stripe_server.api import Asked, answer
from tests.stripe_server.door import DOORS
from tests.stripe_server.errors import Refused
from tests.stripe_server.faults import Fault, Faults, What
from tests.stripe_server.keys import Answer, in_use
from tests.stripe_server.pages import Page, page_of
from tests.stripe_server.store import Store
from tests.stripe_server.webhooks import Endpoint, Sender

DOOR = "/_test/"
MOST_HELD_S = 120  # longer than the SDK waits


@dataclass
class State:
    store: Store
    lock: threading.Lock = field(default_factory=threading.Lock)
    faults: Faults = field(default_factory=Faults)
    requests: list[dict[str, Any]] = field(default_factory=list)


class StripeServer(ThreadingHTTPServer):
    """Listens on loopback; `webhooks`: where events are sent to by themselves."""

    daemon_threads = True

    def __init__(
        self, port: int = 0, *, file: Path | None = None, webhooks: Endpoint | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = State(Store(file, self.url))
        self.sender = Sender(self.state.store, self.state.lock, webhooks)
        self.sender.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        super().server_close()
        self.sender.stop()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke on purpose is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else the other side's kernel waits for the second
    server: StripeServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
        """Tests read `requests` instead."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        parts = urlsplit(self.path)
        state = self.server.state
        if parts.path.startswith(DOOR):
            result = _door(state, parts.path.removeprefix(DOOR), json.loads(body or "{}"))
            self.server.sender.wake()
            self._send(result)
            return
        if (found := _page(state, self.command, parts.path, body)) is not None:
            self.server.sender.wake()
            self._show(found)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, parts.query, body, headers)
        heard = _heard(state, asked)
        self.server.sender.wake()
        if heard is None:
            self.close_connection = True
            self.connection.close()
        else:
            self._send(heard, asked.version)

    def _show(self, page: Page) -> None:
        self.send_response(303 if page.to else page.status)
        if page.to:
            self.send_header("Location", page.to)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page.html)))
        self.end_headers()
        self.wfile.write(page.html)

    def _send(self, result: Answer, version: str = "") -> None:
        text = json.dumps(result.body).encode()
        self.send_response(result.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Request-Id", result.request_id)
        self.send_header("Stripe-Version", version)
        if result.is_replay:
            self.send_header("Idempotent-Replayed", "true")
            self.send_header("Original-Request", result.original)
        self.end_headers()
        self.wfile.write(text)


def _page(state: State, method: str, path: str, body: str) -> Page | None:
    form = dict(parse_qsl(body)) if method == "POST" else None
    with state.lock:
        found = page_of(state.store, path, form)
        if found is not None and form is not None:
            state.store.save()
        return found


def _heard(state: State, asked: Asked) -> Answer | None:
    """The answer, or None where none is heard."""
    row = {"method": asked.method, "path": asked.path, "key": asked.key, "body": asked.body}
    with state.lock:
        fault = state.faults.due(f"{asked.method} {asked.path}")
        state.requests.append(row)
        if asked.key and asked.key in state.faults.in_flight:
            return Answer(409, {"error": in_use(asked.key).error}, asked.id)
        if fault is None or fault.what is not What.HOLD:
            return _met(state, asked, fault, row)
        released = state.faults.hold()
        state.faults.in_flight.append(asked.key)
    released.wait(MOST_HELD_S)
    with state.lock:
        state.faults.in_flight.remove(asked.key)
        return _met(state, asked, None, row)


def _met(state: State, asked: Asked, fault: Fault | None, row: dict[str, Any]) -> Answer | None:
    """What becomes of a request. Holds the lock."""
    if fault is not None and fault.what is What.DIE:
        os._exit(9)
    if fault is not None and fault.what is What.REFUSE:
        return None
    if fault is not None and fault.what is What.STATUS:
        kind = "rate_limit_error" if fault.status == 429 else "api_error"
        return Answer(
            fault.status, {"error": {"type": kind, "message": "a planned fault"}}, asked.id
        )
    result = answer(state.store, asked)
    row["status"] = result.status
    row["is_replay"] = result.is_replay
    if asked.method != "GET":
        state.store.save()
    if fault is not None and fault.what is What.DIE_AFTER:
        os._exit(9)
    return None if fault is not None and fault.what is What.LOSE else result


def _door(state: State, name: str, given: dict[str, Any]) -> Answer:
    with state.lock:
        if name == "fault":
            state.faults.planned.append(Fault(**{**given, "what": What(given["what"])}))
            return Answer(200, {})
        if name == "release":
            state.faults.release()
            return Answer(200, {})
        if name == "requests":
            return Answer(200, {"result": state.requests})
        if name == "clear":
            state.faults.planned.clear()
            state.requests.clear()
            return Answer(200, {})
        try:
            result = DOORS[name](state.store, given)
        except Refused as refusal:
            result = {"error": refusal.error}
        state.store.save()
    return Answer(200, {"result": result})
