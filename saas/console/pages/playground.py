"""Talking to a model in the browser.

The page speaks to the ordinary endpoint, POST /v1/chat/completions, and so passes its one door:
rights, limits and metering are the gateway's. It signs in with a key that can do nothing but
inference, lives for minutes, and is kept in the page's memory only.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from saas.console.asking import actor_of
from tenants.accounts.services import passing_key_create
from workers.assets.models import BaseModel
from workers.assets.selectors import models_visible

SHOWN = 200


def playground(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    return console.page(
        request,
        "console/playground.html",
        title=_("Playground"),
        models=callable_models(BaseModel.Kind.TEXT_GENERATION),
        chosen=request.GET.get("model", ""),
        key_url=reverse("console:playground_key"),
    )


def callable_models(kind: str = "") -> list[str]:
    """The tenant's models, newest first, then the catalogue's; of one `kind`, or of all."""
    found = [model for model in models_visible() if kind in {"", model.kind}]
    own = [model.name for model in found if model.version]
    return own[:SHOWN] + [model.name for model in found if not model.version]


@require_POST
@never_cache
def playground_key(request: HttpRequest) -> JsonResponse:
    actor: Any = actor_of(request)
    issued = passing_key_create(actor=actor, name="Playground", scopes=["inference"])
    return JsonResponse({"key": issued.secret, "expires_at": issued.row.expires_at})
