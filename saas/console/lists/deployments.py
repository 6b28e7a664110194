"""Deployments: models on offer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.filters import choice_filter
from saas.console.readonly import Act, ReadOnlyAdmin, actor_of
from saas.console.words import DEPLOYMENT_STATES
from workers.serving.services import deployment_delete


def _delete(request: HttpRequest, deployment_id: str) -> Any:
    return deployment_delete(actor=actor_of(request), deployment_id=deployment_id)


_state = show.badge("state", _("State"), DEPLOYMENT_STATES)
_sleeps = show.derived("sleep_after_s", _("Sleeps after"), show.as_duration)


class DeploymentAdmin(ReadOnlyAdmin):
    reads = "deployments.read"
    title = _("Deployments")
    intro = _("Models on offer. One that nobody calls falls asleep; the next request wakes it.")
    empty = _("Nothing is deployed. Open a model and deploy it.")
    list_display = (
        show.text("model", _("Model"), sort=True),
        show.text("base_id", _("Base model")),
        _state,
        _sleeps,
        show.moment("created_at", _("Created")),
    )
    list_filter = (choice_filter("state", _("State"), DEPLOYMENT_STATES),)
    search_fields = ("id", "model")
    details = (
        show.code("id", _("Id")),
        show.code("model", _("Model")),
        show.text("base_id", _("Base model")),
        _state,
        show.text("last_error", _("Error")),
        _sleeps,
        show.number("max_replicas", _("Replicas at most")),
        show.moment("wanted_until", _("Awake until")),
        show.moment("created_at", _("Created")),
    )
    acts = (
        Act(
            name="delete",
            label=_("Take off offer"),
            permission="deployments.write",
            run=_delete,
            done=_("The deployment is gone; the model stays."),
            danger=True,
            confirm=_("Take this model off offer?"),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at__isnull=True)

    def heading(self, row: Any) -> str:
        return str(row.model)
