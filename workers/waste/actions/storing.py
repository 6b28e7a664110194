"""Let go what nothing refers to, so that it can be had back for a while."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from tenants.accounts.actors import Actor
from tenants.kernel.clock import database_now
from workers.assets.models import Dataset, File, ModelVersion
from workers.assets.services import file_expiry_set, model_version_delete, model_version_restore
from workers.serving.models import Deployment


def versions_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """Whether each is there and still without a deployment and a child."""
    del subject
    rows = ModelVersion.objects.select_for_update(of=("self",)).filter(pk__in=arguments["ids"])
    there = {row.id: row.deleted_at for row in rows.order_by("id")}
    on_offer = Deployment.objects.filter(version__in=there, deleted_at__isnull=True)
    children = ModelVersion.objects.filter(parent__in=there, deleted_at__isnull=True)
    return {
        "deleted": {name: there.get(name, "gone") for name in sorted(arguments["ids"])},
        "on_offer": sorted(on_offer.values_list("version_id", flat=True)),
        "parents": sorted({str(each) for each in children.values_list("parent_id", flat=True)}),
    }


def delete(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete the versions; their bytes stay until they can be restored no more."""
    del subject
    rows = ModelVersion.objects.filter(pk__in=arguments["ids"], deleted_at__isnull=True)
    gone = {}
    for row in rows.order_by("id"):
        acting = replace(actor, tenant_id=row.tenant_id)
        gone[row.id] = model_version_delete(actor=acting, name=row.name).deleted_at
    return {"deleted": {name: _text(moment) for name, moment in gone.items()}}


def delete_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises Conflict where the bytes of one are gone."""
    del arguments
    rows = ModelVersion.objects.select_for_update(of=("self",)).filter(pk__in=before["deleted"])
    for row in rows.order_by("id"):
        if _text(row.deleted_at) == before["deleted"][row.id]:
            model_version_restore(actor=replace(actor, tenant_id=row.tenant_id), name=row.name)


def files_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """Whether each is there, has no end, and has been read by nothing since."""
    del subject
    rows = File.objects.select_for_update(of=("self",)).filter(pk__in=arguments["ids"])
    there = {row.id: (row.deleted_at, row.expires_at) for row in rows.order_by("id")}
    read = Dataset.objects.filter(file__in=there).count()
    return {
        "files": {name: there.get(name, "gone") for name in sorted(arguments["ids"])},
        "datasets": read,
    }


def expire(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let the files end with the time in which a deletion may be undone."""
    del subject
    ends = database_now() + dt.timedelta(seconds=settings.MODEL_RESTORE_S)
    rows = File.objects.filter(pk__in=arguments["ids"], deleted_at__isnull=True)
    for row in rows.order_by("id"):
        acting = replace(actor, tenant_id=row.tenant_id)
        file_expiry_set(actor=acting, file_id=row.id, expires_at=ends)
    return {"ends": _text(ends)}


def expire_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """They are kept, those that have not ended already."""
    rows = File.objects.select_for_update(of=("self",)).filter(deleted_at__isnull=True)
    for row in rows.filter(pk__in=arguments["ids"]).order_by("id"):
        if _text(row.expires_at) == before["ends"]:
            acting = replace(actor, tenant_id=row.tenant_id)
            file_expiry_set(actor=acting, file_id=row.id, expires_at=None)


def _text(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
