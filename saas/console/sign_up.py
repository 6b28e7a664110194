"""Sign-up: a person and their organisation come together."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import SignupForm
from allauth.account.utils import setup_user_email
from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from tenants.accounts.models import User
from tenants.pricing.services.welcome import customer_sign_up


class SignUpForm(SignupForm):  # type: ignore[misc]
    """allauth's form (address free, password strong) with the organisation's name."""

    organisation = forms.CharField(
        label=_("Organisation"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )
    name = forms.CharField(
        label=_("Your name"),
        max_length=120,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("organisation", "name", "email", "password1")

    def save(self, request: HttpRequest) -> User:
        """Make tenant, user and owner in one transaction, the sign-in area's system scope."""
        given: dict[str, Any] = self.cleaned_data
        signed_up = customer_sign_up(
            organisation=given["organisation"],
            email=given["email"],
            password=given["password1"],
            name=given.get("name", ""),
        )
        setup_user_email(request, signed_up.user, [])
        return signed_up.user
