"""Who and where the organisation is, as invoices state it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of, ask
from tenants.billing.selectors.tax import tax_profile
from tenants.billing.services.tax import NewProfile, tax_profile_set

FIELDS = ("legal_name", "address", "country", "region", "tax_id", "language")


class BillingDetailsForm(forms.Form):
    legal_name = forms.CharField(
        label=_("Legal name"), max_length=200, required=False, help_text=_("As invoices state it.")
    )
    address = forms.CharField(
        label=_("Address"),
        max_length=600,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    country = forms.RegexField(
        r"^[A-Z]{2}\Z",
        label=_("Country"),
        required=False,
        help_text=_("Two capital letters, such as DE."),
    )
    region = forms.RegexField(
        r"^[A-Za-z0-9]{1,10}\Z",
        label=_("Region"),
        required=False,
        help_text=_("Where tax depends on it: CA for California."),
    )
    tax_id = forms.CharField(label=_("Tax number"), max_length=40, required=False)
    language = forms.ChoiceField(
        label=_("Language of documents"), choices=[("en", "English"), ("zh-hans", "简体中文")]
    )

    def clean_address(self) -> str:
        """Browsers send lines ended as HTTP ends them."""
        text: str = self.cleaned_data["address"]
        return text.replace("\r\n", "\n")


def billing_details(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    actor = actor_of(request)
    profile = tax_profile(actor.tenant_id)

    def run(**fields: Any) -> Any:
        return tax_profile_set(actor=actor, profile=NewProfile(**fields))

    return ask(
        request,
        console,
        form=BillingDetailsForm,
        initial={name: getattr(profile, name) for name in FIELDS},
        run=run,
        then=lambda _profile: redirect("console:billing_details"),
        title=_("Billing details"),
        button=_("Save"),
        done=_("Saved: invoices say so from now on."),
    )
