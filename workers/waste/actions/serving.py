"""Let deployments sleep sooner, and grow less far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Least, Now

from tenants.accounts.actors import Actor
from workers.serving.models import Deployment
from workers.serving.services import deployment_update


def sleep_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """When those deployments sleep now, and which others keep the target awake."""
    rows = list(_locked(subject))
    named = set(arguments["sleep_after_s"])
    return {
        "settings": {row.id: row.sleep_after_s for row in rows},
        "missing": sorted(named - {row.id for row in rows}),
    }


def sleep(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Set when they sleep; one that has been unused for longer goes to sleep at once."""
    before = {}
    for row in _locked(subject):
        seconds = arguments["sleep_after_s"].get(row.id)
        if seconds is None:
            continue
        before[row.id] = row.sleep_after_s
        shortened = row.sleep_after_s - int(seconds)
        deployment_update(
            actor=replace(actor, tenant_id=row.tenant_id),
            deployment_id=row.id,
            sleep_after_s=int(seconds),
        )
        until = Least(F("wanted_until") - dt.timedelta(seconds=shortened), F("wanted_until"))
        Deployment.objects.filter(pk=row.pk, wanted_until__gt=Now()).update(wanted_until=until)
    return before


def sleep_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    for deployment_id, seconds in sorted(before.items()):
        asked = int(arguments["sleep_after_s"][deployment_id])
        _set_back(actor, deployment_id, "sleep_after_s", asked, seconds)


def size_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """How far each deployment of the target may grow now."""
    del arguments
    return {row.id: row.max_replicas for row in _locked(subject)}


def resize(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let none of the target's deployments grow further than that."""
    before = {}
    for row in _locked(subject):
        if row.max_replicas > arguments["max_replicas"]:
            before[row.id] = row.max_replicas
            deployment_update(
                actor=replace(actor, tenant_id=row.tenant_id),
                deployment_id=row.id,
                max_replicas=arguments["max_replicas"],
            )
    return before


def resize_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    for deployment_id, most in sorted(before.items()):
        _set_back(actor, deployment_id, "max_replicas", arguments["max_replicas"], most)


def _set_back(actor: Actor, deployment_id: str, name: str, asked: int, before: int) -> None:
    """As the operator, for the deployment's tenant; one that is gone, or set anew, stays so."""
    rows = Deployment.objects.select_for_update(of=("self",)).filter(deleted_at__isnull=True)
    if row := rows.filter(pk=deployment_id, **{name: asked}).first():
        acting = replace(actor, tenant_id=row.tenant_id)
        deployment_update(actor=acting, deployment_id=row.id, **{name: before})


def _locked(target: str) -> QuerySet[Deployment]:
    """The target's deployments, in the order in which rows are locked."""
    rows: QuerySet[Deployment] = Deployment.objects.filter(target=target, deleted_at__isnull=True)
    return rows.select_for_update(of=("self",)).order_by("tenant_id", "id")
