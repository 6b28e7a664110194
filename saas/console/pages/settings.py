"""What an organisation has decided for all its work."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of, ask
from tenants.accounts.selectors import tenant_get
from tenants.accounts.services import tenant_sharing_set


class SettingsForm(forms.Form):
    shares_passes = forms.BooleanField(
        label=_("Share passes"),
        required=False,
        help_text=_(
            "Fine-tunes may be computed together with other organisations' on the same base. One "
            "that would wait for a free slot then starts in a running one. Price and privacy stay "
            "what they are, and results agree within rounding."
        ),
    )


def settings(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    actor = actor_of(request)

    def run(**fields: Any) -> Any:
        return tenant_sharing_set(actor=actor, **fields)

    return ask(
        request,
        console,
        form=SettingsForm,
        initial={"shares_passes": tenant_get(actor.tenant_id).shares_passes},
        run=run,
        then=lambda _tenant: redirect("console:settings"),
        title=_("Settings"),
        button=_("Save"),
        done=_("Saved: it holds for what starts from now on."),
    )
