"""A call that is sent again: answered as before and charged once.

Under an `Idempotency-Key` a call is claimed before anything is set aside for it, and its answer is
kept by the very transaction that charges it: so what was charged can be answered again, and what
lost its claim is not charged. An SDK's retry, which has no key, is known by its body. Answers are
sealed under the tenant's data key and go as the API's do (`tenants/kernel/idempotency.py`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from tenants.kernel.crypto import decrypt, encrypt, key_ring
from tenants.kernel.errors import Conflict
from tenants.kernel.idempotency import KEPT_FOR, RETRY_WINDOW, key_reused, key_usable, retry_count
from tenants.ledger.statements import Statement
from workers.serving.gateway.database import Connection, Database
from workers.serving.gateway.http import Scope, header

MOST_KEPT = 2**20  # bytes of an answer; a larger one is charged once, and not told twice

_FOUND = """
    SELECT r.fingerprint, r.response_status IS NULL AS is_open,
           r.response_body->>'sealed' AS sealed, d.kek_id, d.wrapped
    FROM idempotent_request r
    LEFT JOIN LATERAL (
        SELECT kek_id, wrapped FROM data_key WHERE tenant_id = r.tenant_id
        ORDER BY created_at DESC LIMIT 1
    ) d ON true
    WHERE r.tenant_id = %(tenant_id)s AND r.key = %(key)s
      AND r.created_at > now() - make_interval(
          secs => CASE WHEN r.response_status IS NULL THEN %(open_s)s ELSE %(kept_s)s END)
"""
_CLAIM = """
    INSERT INTO idempotent_request (tenant_id, key, fingerprint, response_body)
    VALUES (%(tenant_id)s, %(key)s, %(fingerprint)s,
            jsonb_build_object('request_id', %(request_id)s::text))
    ON CONFLICT (tenant_id, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, response_body = excluded.response_body,
        response_status = NULL, created_at = now()
    WHERE idempotent_request.created_at < now() - make_interval(
        secs => CASE WHEN idempotent_request.response_status IS NULL
                THEN %(open_s)s ELSE %(kept_s)s END)
    RETURNING id
"""
_RELEASE = """
    DELETE FROM idempotent_request
    WHERE tenant_id = %(tenant_id)s AND key = %(key)s AND response_status IS NULL
      AND response_body->>'request_id' = %(request_id)s
"""
# Ordered, so that two processes that keep answers to equal bodies do not wait for each other.
_KEEP = """
    INSERT INTO idempotent_request (tenant_id, key, fingerprint, response_status, response_body)
    SELECT tenant_id, key, fingerprint, 200, body::jsonb
    FROM unnest(%(tenants)s::text[], %(keys)s::text[], %(fingerprints)s::text[], %(bodies)s::text[])
         AS kept (tenant_id, key, fingerprint, body)
    ORDER BY tenant_id, key
    ON CONFLICT (tenant_id, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, response_body = excluded.response_body,
        response_status = 200, created_at = now()
    WHERE excluded.key LIKE 'call:body:%%'
       OR idempotent_request.response_body->>'request_id' = excluded.response_body->>'request_id'
"""
_DATA_KEY = """
    SELECT kek_id, wrapped FROM data_key WHERE tenant_id = %(tenant_id)s
    ORDER BY created_at DESC LIMIT 1
"""


class Replayed(Exception):
    """This call was answered before, with `body`."""

    def __init__(self, body: Any) -> None:
        super().__init__("answered before")
        self.body = body


@dataclass(frozen=True)
class Repeat:
    """How a call is known again."""

    key: str
    fingerprint: str  # of path and body, sha256
    is_claimed: bool  # by an Idempotency-Key; else an SDK's retries are recognised
    is_first: bool  # nothing that came before can be its answer


@dataclass(frozen=True)
class Claim:
    """One request's right to be the answer to its key, until `SERVING_HOLD_S` have passed."""

    tenant_id: str
    request_id: str
    repeat: Repeat

    def _statement(self, sql: str) -> Statement:
        params = {**vars(self.repeat), **_bounds(self.repeat), "tenant_id": self.tenant_id}
        return Statement(sql, {**params, "request_id": self.request_id})

    async def take(self, database: Database) -> None:
        """Raises Conflict where another request is at work under the key."""
        if self.repeat.is_claimed and await database.ask(self._statement(_CLAIM)) is None:
            raise _in_progress()

    async def release(self, database: Database) -> None:
        """Nothing was charged: the key is free again."""
        if self.repeat.is_claimed:
            async with database.transaction() as connection:
                await connection.execute(*self._statement(_RELEASE))


@dataclass(frozen=True)
class Kept:
    """An answer as it is stored; without its text where it was streamed or is large."""

    tenant_id: str
    repeat: Repeat
    body: str  # JSON


def repeat_of(scope: Scope, body: bytes) -> Repeat | None:
    """How this request would be known again; None where it would not. Raises InvalidInput."""
    fingerprint = hashlib.sha256(f"POST {scope['path']}\n".encode() + body).hexdigest()
    if any(name == b"idempotency-key" for name, _ in scope["headers"]):
        given = key_usable(header(scope, "idempotency-key"))
        return Repeat(f"call:key:{given}", fingerprint, is_claimed=True, is_first=False)
    attempt = retry_count(header(scope, "x-stainless-retry-count"))
    if attempt is None:
        return None
    return Repeat(f"call:body:{fingerprint}", fingerprint, is_claimed=False, is_first=not attempt)


async def answered_before(connection: Connection, tenant_id: str, repeat: Repeat) -> None:
    """Raises Replayed with the answer that was kept, and Conflict where there is none to give."""
    if repeat.is_first:
        return
    asked = {"tenant_id": tenant_id, "key": repeat.key, **_bounds(repeat)}
    row = await (await connection.execute(_FOUND, asked)).fetchone()
    if row is None:
        return
    if row["fingerprint"] != repeat.fingerprint:
        raise key_reused()
    if row["is_open"]:
        raise _in_progress()
    if row["sealed"] is None or row["wrapped"] is None:
        raise Conflict(
            "a request under this Idempotency-Key was answered and charged, but its answer was "
            "streamed or too large to be kept; make a new key to ask again",
            param="Idempotency-Key",
            code="idempotent_answer_not_kept",
        )
    key = key_ring().unwrap(row["kek_id"], bytes(row["wrapped"]), tenant_id.encode())
    sealed = io.BytesIO(base64.b64decode(row["sealed"]))
    raise Replayed(json.loads(b"".join(decrypt(sealed, key))))


async def kept(database: Database, claim: Claim, answer: Any) -> Kept | None:
    """What to keep of `answer` (None: it was streamed); None where nothing is."""
    plain = b"" if answer is None else json.dumps(answer, ensure_ascii=False).encode()
    row = None
    if 0 < len(plain) <= MOST_KEPT:
        row = await database.ask(Statement(_DATA_KEY, {"tenant_id": claim.tenant_id}))
    body = {"request_id": claim.request_id}
    if row is not None and row["wrapped"] is not None:
        key = key_ring().unwrap(row["kek_id"], bytes(row["wrapped"]), claim.tenant_id.encode())
        body["sealed"] = base64.b64encode(b"".join(encrypt([plain], key))).decode()
    elif not claim.repeat.is_claimed:
        return None
    return Kept(claim.tenant_id, claim.repeat, json.dumps(body))


async def answers_keep(connection: Connection, answers: Sequence[Kept]) -> None:
    """Keep answers, in the transaction that charges for them.

    Raises Conflict where a claim was lost meanwhile: that call is neither answered nor charged.
    """
    rows = list({(one.tenant_id, one.repeat.key): one for one in answers}.values())
    if not rows:
        return
    found = await connection.execute(
        _KEEP,
        {
            "tenants": [row.tenant_id for row in rows],
            "keys": [row.repeat.key for row in rows],
            "fingerprints": [row.repeat.fingerprint for row in rows],
            "bodies": [row.body for row in rows],
        },
    )
    if found.rowcount < len(rows):
        raise _in_progress()


def _bounds(repeat: Repeat) -> dict[str, float]:
    """For how many seconds a claim stands, and an answer is given again."""
    kept_for = KEPT_FOR if repeat.is_claimed else RETRY_WINDOW
    return {"open_s": settings.SERVING_HOLD_S, "kept_s": kept_for.total_seconds()}


def _in_progress() -> Conflict:
    return Conflict(
        "a request under this Idempotency-Key is still at work",
        param="Idempotency-Key",
        code="idempotency_in_progress",
        retry_after=2.0,
    )
