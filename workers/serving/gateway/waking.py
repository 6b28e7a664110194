"""Keeps the deployment behind a request awake, and finds replicas that answer for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from django.conf import settings
from psycopg.types.json import Jsonb

from tenants.kernel.errors import NotFound, Unavailable
from tenants.kernel.ids import new_id
from workers.serving.events import DeploymentWoken
from workers.serving.gateway.admission import Model
from workers.serving.gateway.database import Connection, Database, Row
from workers.serving.models import SLEEP_AFTER_S

# The tenant's own deployment of the model goes before the platform's of a base. A deleted one is
# seen too: what a tenant took off offer does not come back by being called.
FIND = """
    SELECT d.id, d.tenant_id, d.target, d.state, d.last_error, d.deleted_at, d.sleep_after_s,
           d.wanted_until IS NULL OR d.wanted_until <
               clock_timestamp() + make_interval(secs => d.sleep_after_s * 0.9) AS is_due
    FROM deployment d JOIN tenant t ON t.id = d.tenant_id
    WHERE d.model = %(model)s
      AND (d.tenant_id = %(tenant_id)s OR (%(is_base)s AND t.is_platform))
    ORDER BY d.deleted_at IS NOT NULL, t.is_platform, d.id DESC LIMIT 1
"""
CREATE = """
    INSERT INTO deployment (id, tenant_id, model, base_id, version_id, target, state,
                            max_replicas, sleep_after_s, last_error)
    VALUES (%(id)s, COALESCE(%(owner)s, (SELECT id FROM tenant WHERE is_platform)),
            %(model)s, %(base_id)s, %(version_id)s, %(target)s, 'asleep', 1, %(sleep)s, '')
    ON CONFLICT (tenant_id, model) WHERE deleted_at IS NULL DO NOTHING
"""
PUSH = """
    UPDATE deployment d
    SET wanted_until = clock_timestamp() + make_interval(secs => d.sleep_after_s),
        state = CASE WHEN d.state = 'asleep' THEN 'waking' ELSE d.state END
    FROM (SELECT id, state FROM deployment WHERE id = %s FOR UPDATE) AS before
    WHERE d.id = before.id AND d.deleted_at IS NULL
    RETURNING before.state = 'asleep' AS is_woken
"""
EMIT = """
    INSERT INTO outbox_event
        (event_id, tenant_id, name, aggregate_id, payload, trace_id, attempts, last_error)
    VALUES (%s, %s, %s, %s, %s, %s, 0, '')
"""
READY = """
    SELECT r.id, r.address, r.secret, r.adapters, r.active FROM replica r
    WHERE r.target = %s AND r.state = 'ready'
      AND r.heartbeat_at > clock_timestamp() - make_interval(secs => %s)
"""
POLL_S = 0.2
FRESH_S = 1.0  # how long a list of replicas is used again


@dataclass(frozen=True)
class ReplicaAddress:
    id: str
    address: str
    secret: str
    adapters: frozenset[str]
    active: int


@dataclass(frozen=True)
class Offer:
    """The deployment that a request runs under."""

    deployment_id: str
    target: str
    last_error: str


async def offer_for(
    connection: Connection,
    *,
    tenant_id: str,
    model: Model,
    trace_id: str,
    before_waking: Callable[[], Awaitable[None]],
) -> Offer:
    """Find the model's deployment and keep it wanted, waking it if it sleeps.

    A model never yet on offer is put on offer. Raises NotFound for one taken off, and what
    `before_waking` raises.
    """
    parameters = {"model": model.name, "tenant_id": tenant_id, "is_base": model.version_id is None}
    row = await (await connection.execute(FIND, parameters)).fetchone()
    if row is None:
        await _create(connection, tenant_id=tenant_id, model=model)
        row = await (await connection.execute(FIND, parameters)).fetchone()
    if row is None or row["deleted_at"] is not None:
        raise NotFound(
            f"{model.name} has no deployment; create one with POST /v1/deployments",
            param="model",
            code="model_not_deployed",
        )
    if row["is_due"] or row["state"] == "asleep":
        await before_waking()
        await _push(connection, row, trace_id=trace_id)
    return Offer(deployment_id=row["id"], target=row["target"], last_error=row["last_error"])


async def _create(connection: Connection, *, tenant_id: str, model: Model) -> None:
    await connection.execute(
        CREATE,
        {
            "id": new_id("dep_"),
            "owner": tenant_id if model.version_id else None,
            "model": model.name,
            "base_id": model.base_id,
            "version_id": model.version_id,
            "target": model.target,
            "sleep": SLEEP_AFTER_S,
        },
    )


async def _push(connection: Connection, row: Row, *, trace_id: str) -> None:
    pushed = await (await connection.execute(PUSH, [row["id"]])).fetchone()
    if pushed is None or not pushed["is_woken"]:
        return
    event = DeploymentWoken(
        tenant_id=row["tenant_id"], deployment_id=row["id"], target=row["target"]
    )
    await connection.execute(
        EMIT,
        [
            new_id("evt_"),
            event.tenant_id,
            event.event_type,
            event.aggregate_id,
            Jsonb(event.to_payload()),
            trace_id,
        ],
    )
    await connection.execute("SELECT pg_notify('outbox', '')")


class Directory:
    """Which replicas answer for a target. Waits for one where there is none yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, list[ReplicaAddress]]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def choose(
        self, offer: Offer, *, adapter_id: str | None, without: Collection[str] = ()
    ) -> ReplicaAddress:
        """The replica that has the adapter warm, else the least busy.

        Waits up to `SERVING_WAKE_WAIT_S`. Raises Unavailable with a `retry_after`.
        """
        deadline = time.monotonic() + settings.SERVING_WAKE_WAIT_S
        while True:
            found = [r for r in await self._ready(offer.target) if r.id not in without]
            if found:
                return best(found, adapter_id)
            if time.monotonic() >= deadline:
                reason = f" ({offer.last_error})" if offer.last_error else ""
                raise Unavailable(
                    f"the model is being loaded{reason}; try again in a few seconds",
                    code="model_loading",
                    retry_after=5,
                )
            await asyncio.sleep(POLL_S)

    async def _ready(self, target: str) -> list[ReplicaAddress]:
        lock = self._asking.setdefault(target, asyncio.Lock())
        async with lock:
            asked_at, known = self._known.get(target, (0.0, []))
            fresh = time.monotonic() - asked_at < (FRESH_S if known else POLL_S / 2)
            if not fresh:
                known = await self._ask(target)
                self._known[target] = (time.monotonic(), known)
            return known

    async def _ask(self, target: str) -> list[ReplicaAddress]:
        async with self._database.transaction() as connection:
            limits = [target, settings.SERVING_SILENCE_S]
            rows = await (await connection.execute(READY, limits)).fetchall()
        return [
            ReplicaAddress(
                id=row["id"],
                address=row["address"],
                secret=row["secret"],
                adapters=frozenset(row["adapters"]),
                active=row["active"],
            )
            for row in rows
        ]

    def forget(self, target: str) -> None:
        """Ask anew at once: a replica on the list did not answer."""
        self._known.pop(target, None)


def best(replicas: Sequence[ReplicaAddress], adapter_id: str | None) -> ReplicaAddress:
    """The one with the adapter loaded, then with the fewest sequences."""
    return min(replicas, key=lambda r: (adapter_id not in r.adapters, r.active, r.id))
