"""The HTTP server: the standard library's, because faults break connections."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.stripe_server.api import Asked, answer
from tests.stripe_server.door import DOORS
from tests.stripe_server.errors import Refused
from tests.stripe_server.faults import Fault, Faults, What
from tests.stripe_server.keys import Answer
from tests.stripe_server.store import Store
from tests.stripe_server.webhooks import Endpoint, Sender

DOOR = "/_test/"


@dataclass
class State:
    store: Store
    lock: threading.Lock = field(default_factory=threading.Lock)
    faults: Faults = field(default_factory=Faults)
    requests: list[dict[str, Any]] = field(default_factory=list)
    sender: Sender | None = None


class StripeServer(ThreadingHTTPServer):
    """Listens on loopback; `webhooks`: where events are sent to by themselves."""

    daemon_threads = True

    def __init__(
        self, port: int = 0, *, file: Path | None = None, webhooks: Endpoint | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = State(Store(file))
        if webhooks is not None:
            self.state.sender = Sender(self.state.store, self.state.lock, webhooks)
            self.state.sender.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

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
            self._send(_door(state, parts.path.removeprefix(DOOR), json.loads(body or "{}")))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, parts.query, body, headers)
        with state.lock:
            fault = state.faults.due(f"{asked.method} {asked.path}")
            result = _met(state, asked, fault)
        if state.sender is not None:
            state.sender.wake()
        if result is None:
            self.close_connection = True
            self.connection.close()
        else:
            self._send(result)

    def _send(self, result: Answer) -> None:
        text = json.dumps(result.body).encode()
        self.send_response(result.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Request-Id", f"req_{time.monotonic_ns()}")
        if result.is_replay:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self.wfile.write(text)


def _met(state: State, asked: Asked, fault: Fault | None) -> Answer | None:
    """The answer, or None where none is heard. Holds the lock."""
    row = {"method": asked.method, "path": asked.path, "key": asked.key, "body": asked.body}
    state.requests.append(row)
    if fault is not None and fault.what is What.DIE:
        os._exit(9)
    if fault is not None and fault.what is What.REFUSE:
        return None
    if fault is not None and fault.what is What.STATUS:
        kind = "rate_limit_error" if fault.status == 429 else "api_error"
        return Answer(fault.status, {"error": {"type": kind, "message": "a planned fault"}})
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
    if state.sender is not None:
        state.sender.wake()
    return Answer(200, {"result": result})
