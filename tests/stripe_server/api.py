"""One request to Stripe's API, from its text to its answer. Knows nothing of sockets."""

from __future__ import annotations

import json
import re
import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from stripe._api_version import _ApiVersion

import tests.stripe_server.resources  # noqa: F401 -- registers the handlers
from tests.stripe_server.contract import Operation, operation_for
from tests.stripe_server.due import run_due
from tests.stripe_server.errors import Refused
from tests.stripe_server.forms import form_decode
from tests.stripe_server.handling import HANDLERS, Call, Params, expanded
from tests.stripe_server.keys import Answer, answer_keep, known_answer
from tests.stripe_server.schema import check
from tests.stripe_server.store import NO_REQUEST, Store, visible

KEYS = ("sk_test_", "rk_test_")
MOST_KEY = 255  # characters of an idempotency key


@dataclass(frozen=True)
class Asked:
    """A request as it came. `headers` by lower-case name."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]
    id: str = field(default_factory=lambda: f"req_{secrets.token_hex(7)}")

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    @property
    def version(self) -> str:
        return self.headers.get("stripe-version", _ApiVersion.CURRENT)


def answer(store: Store, asked: Asked) -> Answer:
    """What Stripe would answer. Never raises: a fault of this server's own is told in a 500."""
    try:
        return _answered(store, asked)
    except Refused as refusal:
        return _refusal(refusal, asked.id)
    except Exception:  # noqa: BLE001 -- whoever reads the test's failure must see it
        return Answer(
            500, {"error": {"type": "api_error", "message": traceback.format_exc()}}, asked.id
        )


def _answered(store: Store, asked: Asked) -> Answer:
    _authenticate(asked)
    _check_version(asked.version)
    if not len(asked.key) <= MOST_KEY:
        raise Refused(f"Idempotency keys have at most {MOST_KEY} characters.")
    found = operation_for(asked.method, asked.path)
    if found is None:
        raise Refused(
            f"Unrecognized request URL ({asked.method}: {asked.path}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/.",
            status=404,
        )
    operation, ids = found
    params = _params(operation, asked)
    account = asked.headers.get("stripe-account")
    said = [asked.method, asked.path, asked.query, asked.body, account]
    if asked.key and asked.method == "POST":
        known = known_answer(store, asked.key, said, asked.id)
        if known is not None:
            return known
    run_due(store, store.now())
    call = Call(store, Params(params), {n: unquote(i) for n, i in ids.items()}, account, asked.path)
    store.request = {"id": asked.id, "idempotency_key": asked.key or None}
    try:
        result = _acted(operation, call, asked.id)
    finally:
        store.request = dict(NO_REQUEST)
    if asked.key and asked.method == "POST":
        answer_keep(store, asked.key, said, result)
    return result


def _acted(operation: Operation, call: Call, request_id: str) -> Answer:
    handler = HANDLERS.get((operation.method, operation.path))
    if handler is None:
        raise Refused(
            f"this server checks {operation.method} {operation.path} and keeps no state for it",
            status=501,
            kind="api_error",
        )
    try:
        found = expanded(call.store, handler(call), list(call.params.get("expand", [])))
    except Refused as refusal:
        return _refusal(refusal, request_id)
    if unread := call.params.unread():
        raise Refused(
            f"this server does not model {', '.join(unread)} of {operation.method} "
            f"{operation.path}: teach it, or leave the parameter out",
            status=501,
            kind="api_error",
        )
    return Answer(200, visible(found), request_id)


def _authenticate(asked: Asked) -> None:
    scheme, _, key = asked.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.startswith(KEYS):
        raise Refused(
            "Invalid API Key provided: this server takes test keys (sk_test_…)", status=401
        )


def _check_version(version: str) -> None:
    """https://docs.stripe.com/api/versioning; the contract is that of one version."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.\w+)?", version):
        raise Refused(f"Invalid Stripe API version: {version}")
    if version != _ApiVersion.CURRENT:
        raise Refused(
            f"Invalid Stripe API version: {version}. This server knows the installed SDK's: "
            f"{_ApiVersion.CURRENT}"
        )


def _params(operation: Operation, asked: Asked) -> dict[str, Any]:
    if operation.is_v2 and asked.method == "POST":
        try:
            given = json.loads(asked.body or "{}")
        except ValueError:
            raise Refused("The request body is no JSON.", code="invalid_json") from None
        return check(operation.typed, given, is_json=True)
    text = asked.body if asked.method == "POST" else asked.query
    return check(operation.typed, form_decode(text), is_json=False)


def _refusal(refusal: Refused, request_id: str) -> Answer:
    return Answer(refusal.status, {"error": refusal.error}, request_id)
