"""Who asks, and for what: the API key's actor, and the model that it names.

Read afresh for every request, by a few indexed queries in the one transaction that also keeps the
deployment awake: so a revoked key, a closed account or a deleted model is refused from the next
request on, and there is no cache to invalidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenants.accounts.actors import Actor
from tenants.accounts.api_keys import key_matches, key_prefix
from tenants.accounts.models import ApiKey, Tenant
from tenants.accounts.selectors import api_key_actor
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied, Unauthenticated
from workers.engine.specs import served_as
from workers.serving.gateway.database import Connection, Row

KEY = """
    SELECT k.id, k.tenant_id, k.hash, k.role, k.scopes,
           ARRAY(SELECT host(ip) FROM unnest(k.allowed_ips) AS ip) AS allowed_ips,
           k.expires_at, k.revoked_at, t.status,
           k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS is_stale
    FROM api_key k JOIN tenant t ON t.id = k.tenant_id
    WHERE k.prefix = %s
"""
TOUCH = "UPDATE api_key SET last_used_at = now() WHERE id = %s"

BASE = """
    SELECT b.id AS base_id, b.kind, b.path, b.context_length, NULL AS version_id,
           NULL AS version_kind, NULL AS over_id
    FROM base_model b WHERE b.id = %(model)s
"""
VERSION = """
    SELECT b.id AS base_id, COALESCE(v.spec->>'task', b.kind) AS kind, b.path, b.context_length,
           v.id AS version_id, v.kind AS version_kind, v.over_id
    FROM model_version v JOIN base_model b ON b.id = v.base_id
    WHERE v.tenant_id = %(tenant_id)s AND v.name = %(model)s AND v.deleted_at IS NULL
"""

DOES = {
    "text_generation": "generates text",
    "embedding": "makes embeddings",
    "tabular": "makes predictions",
    "text_classification": "makes predictions",
    "image": "learns to tell images apart",
    "image_classification": "makes predictions",
    "audio": "learns to tell recordings apart",
    "audio_classification": "makes predictions",
}
UNTRAINED = (
    "tabular",
    "image",
    "audio",
)  # kinds of bases that know nothing before they are trained
_HOW = "create one at /console/ or with POST /v1/api_keys"


@dataclass(frozen=True)
class Model:
    """What the caller named: a catalogue base, or a version of its own.

    `adapter_id` is loaded beside the base, or beside the version `over_id` that it was carried
    over to; a full version is a `target` by itself.
    """

    name: str
    kind: str  # one of `DOES`
    base_id: str
    folder: Path  # of the base: tokenizer and chat template
    context_length: int
    version_id: str | None
    adapter_id: str | None
    over_id: str | None = None

    @property
    def target(self) -> str:
        if self.adapter_id:
            return self.over_id or self.base_id
        return self.version_id or self.base_id


async def caller(connection: Connection, *, authorization: str, ip: str | None) -> Actor:
    """Return who stands behind an Authorization header, allowed to run inference.

    The rules are those of `tenants.accounts.selectors`. Raises Unauthenticated, PermissionDenied.
    """
    secret = bearer(authorization)
    prefix = key_prefix(secret)
    if prefix is None:
        raise Unauthenticated(f"this is not a Breakwater API key (bw-…); {_HOW}")
    row = await (await connection.execute(KEY, [prefix])).fetchone()
    if row is None or not key_matches(secret, row["hash"]):
        raise Unauthenticated(f"incorrect API key bw-{prefix}-…; {_HOW}")
    actor = api_key_actor(_api_key(row), ip=ip)
    if row["status"] == Tenant.Status.SUSPENDED:
        raise PermissionDenied(
            "this organisation is suspended: it may read and pay, but not call models",
            code="tenant_suspended",
        )
    actor.require("inference")
    if row["is_stale"]:
        await connection.execute(TOUCH, [row["id"]])
    return actor


async def model_named(connection: Connection, *, tenant_id: str, name: str) -> Model:
    """Find a base of the catalogue, or else a version of this tenant, by name. Raises NotFound."""
    parameters = {"tenant_id": tenant_id, "model": name}
    row = None
    if "\0" not in name:
        row = await (await connection.execute(BASE, parameters)).fetchone()
        row = row or await (await connection.execute(VERSION, parameters)).fetchone()
    if row is None:
        raise NotFound(
            f"the model {name!r} does not exist, or you have no access to it; "
            "GET /v1/models lists yours",
            param="model",
            code="model_not_found",
        )
    is_adapter = row["version_kind"] == "adapter"
    return Model(
        name=name,
        kind=served_as(row["kind"]),
        base_id=row["base_id"],
        folder=Path(row["path"]),
        context_length=row["context_length"],
        version_id=row["version_id"],
        adapter_id=row["version_id"] if is_adapter else None,
        over_id=row["over_id"],
    )


def bearer(authorization: str) -> str:
    """Return the key in `Bearer bw-…`. Raises Unauthenticated."""
    kind, _, secret = authorization.partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("send your API key as 'Authorization: Bearer bw-…'")
    return secret.strip()


def require_kind(model: Model, kinds: str | tuple[str, ...]) -> None:
    """Raises InvalidInput where a model is called for what it does not do."""
    if model.kind not in ((kinds,) if isinstance(kinds, str) else kinds):
        raise InvalidInput(
            f"{model.name} {DOES[model.kind]}; call it at another endpoint",
            param="model",
            code="wrong_model",
        )


def require_trained(model: Model) -> None:
    """Raises InvalidInput where a base knows nothing before it is trained."""
    if model.kind in UNTRAINED and model.version_id is None:
        raise InvalidInput(
            f"{model.name} has learned from no data yet; fine-tune it, and call what comes of it",
            param="model",
            code="wrong_model",
        )


def _api_key(row: Row) -> ApiKey:
    """The row as `api_key_actor` knows it; never saved."""
    return ApiKey(
        id=row["id"],
        tenant=Tenant(id=row["tenant_id"], status=row["status"]),
        role=row["role"],
        scopes=row["scopes"],
        allowed_ips=row["allowed_ips"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
