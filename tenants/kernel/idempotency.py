"""Repeated requests: the same key gets the same answer, and the work is done once.

The row is written in the transaction that does the work. So a second request under the same key
waits for the first one's end: it then replays the answer, or does the work where the first failed.
Answers are sealed under the tenant's data key: some hold a secret that is shown once.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connections
from django.db.models import Q
from django.db.models.functions import Now

from tenants.kernel.clock import now
from tenants.kernel.crypto import decrypt, encrypt, tenant_data_key
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.models import IdempotentRequest
from tenants.kernel.scope import current_alias, current_tenant_id, system_scope

KEPT_FOR = dt.timedelta(hours=24)
RETRY_WINDOW = dt.timedelta(minutes=10)  # within which an SDK's automatic retry may come
PATIENCE_S = 15

_KEY = re.compile(r"^[\x21-\x7e]{1,200}$")


@dataclass(frozen=True)
class Answer:
    """What a request was answered with: HTTP status and JSON body."""

    status: int
    body: Mapping[str, Any] | None


def key_usable(given: str) -> str:
    """Return the header's value. Raises InvalidInput where it cannot be a key."""
    if not _KEY.match(given):
        raise InvalidInput(
            "an Idempotency-Key has 1 to 200 visible ASCII characters", param="Idempotency-Key"
        )
    return given


def key_reused() -> Conflict:
    return Conflict(
        "this Idempotency-Key was used for another request; make a new one",
        param="Idempotency-Key",
        code="idempotency_key_reused",
    )


def retry_count(header: str) -> int | None:
    """Which attempt an SDK says that this is (`x-stainless-retry-count`), 0 for the first."""
    return int(header[:9]) if header.isascii() and header.isdigit() else None


def request_begin(*, key: str, fingerprint: str) -> Answer | None:
    """Claim `key` for this request. Returns the answer where the work was done before.

    Raises Conflict where the key came with another request, or the first still runs after
    `PATIENCE_S` seconds.
    """
    row, created = _claim(key, fingerprint)
    if created:
        return None
    if row.response_status is None or row.created_at < now() - KEPT_FOR:
        _renew(row, fingerprint)
        return None
    if row.fingerprint != fingerprint:
        raise key_reused()
    return _answer(row)


def request_begin_anew(*, key: str, fingerprint: str) -> None:
    """Claim `key` for a request that is no retry, whatever came under it before."""
    row, created = _claim(key, fingerprint)
    if not created:
        _renew(row, fingerprint)


def request_begin_retry(*, key: str, fingerprint: str) -> Answer | None:
    """Claim `key` for what an SDK sends again. Returns the earlier answer, if it is recent."""
    row, created = _claim(key, fingerprint)
    if created:
        return None
    if row.response_status is not None and row.created_at >= now() - RETRY_WINDOW:
        return _answer(row)
    _renew(row, fingerprint)
    return None


def request_end(*, key: str, status: int, body: Mapping[str, Any] | None) -> None:
    """Keep the answer under `key`, in the transaction that did the work."""
    IdempotentRequest.objects.filter(key=key).update(
        response_status=status, response_body=_sealed(body, current_tenant_id())
    )


def founding_answer(*, key: str) -> Answer | None:
    """The answer to a request that made its own tenant, if it came before (system scope)."""
    row = IdempotentRequest.objects.filter(key=key, created_at__gte=now() - KEPT_FOR).first()
    return None if row is None else _answer(row)


def founding_end(*, tenant_id: str, key: str, status: int, body: Mapping[str, Any]) -> None:
    """Keep the answer to a request that made `tenant_id` (system scope)."""
    IdempotentRequest.objects.create(
        tenant_id=tenant_id,
        key=key,
        fingerprint="",
        response_status=status,
        response_body=_sealed(body, tenant_id),
    )


def idempotent_requests_purge() -> int:
    """Forget answers after `KEPT_FOR`, those for an SDK's retry after `RETRY_WINDOW`.

    Of all tenants. Returns how many.
    """
    with system_scope():
        at = now()
        of_retries = Q(key__startswith="body:") | Q(key__startswith="call:body:")
        old = Q(created_at__lt=at - KEPT_FOR) | of_retries & Q(created_at__lt=at - RETRY_WINDOW)
        deleted: int = IdempotentRequest.objects.filter(old).delete()[0]
        return deleted


def _claim(key: str, fingerprint: str) -> tuple[IdempotentRequest, bool]:
    """Insert the row, or wait for the transaction that holds it and lock what it left."""
    _lock_timeout(f"{PATIENCE_S}s")
    try:
        row, created = IdempotentRequest.objects.select_for_update().get_or_create(
            key=key, defaults={"fingerprint": fingerprint}
        )
    except OperationalError as error:
        raise Conflict(
            "the first request under this key is still at work",
            code="idempotency_in_progress",
            retry_after=2.0,
        ) from error
    _lock_timeout("0")
    return row, created


def _renew(row: IdempotentRequest, fingerprint: str) -> None:
    IdempotentRequest.objects.filter(pk=row.pk).update(
        fingerprint=fingerprint, response_status=None, response_body=None, created_at=Now()
    )


def _sealed(body: Mapping[str, Any] | None, tenant_id: str) -> dict[str, str]:
    sealed = b"".join(encrypt([json.dumps(body).encode()], tenant_data_key(tenant_id)))
    return {"sealed": base64.b64encode(sealed).decode()}


def _answer(row: IdempotentRequest) -> Answer:
    assert row.response_body is not None  # noqa: S101 -- written with the status
    sealed = base64.b64decode(row.response_body["sealed"])
    plain = b"".join(decrypt(io.BytesIO(sealed), tenant_data_key(row.tenant_id)))
    return Answer(row.response_status or 200, json.loads(plain))


def _lock_timeout(value: str) -> None:
    with connections[current_alias()].cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [value])
