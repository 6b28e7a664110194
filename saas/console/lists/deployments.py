"""Deployments: models on offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.readonly import Act, ReadOnlyAdmin
from saas.console.words import DEPLOYMENT_STATES
from workers.serving.models import Deployment
from workers.serving.services import deployment_delete, deployment_sleep, deployment_wake


def _call(service: Callable[..., Deployment]) -> Callable[[HttpRequest, str], Deployment]:
    return lambda request, row_id: service(actor=actor_of(request), deployment_id=row_id)


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
            name="wake",
            label=_("Wake"),
            permission="deployments.write",
            run=_call(deployment_wake),
            done=_("The model is waking up."),
            offered=lambda row: row.state == Deployment.State.ASLEEP,
        ),
        Act(
            name="sleep",
            label=_("Put to sleep"),
            permission="deployments.write",
            run=_call(deployment_sleep),
            done=_("The model sleeps until the next request."),
            offered=lambda row: row.state != Deployment.State.ASLEEP,
        ),
        Act(
            name="delete",
            label=_("Take off offer"),
            permission="deployments.write",
            run=_call(deployment_delete),
            done=_("The deployment is gone; the model stays."),
            danger=True,
            confirm=_("Take this model off offer?"),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at__isnull=True)

    def heading(self, row: Any) -> str:
        return str(row.model)
