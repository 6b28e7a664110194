"""A new budget's form."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of, ask
from saas.console.lists.budgets import NewBudgetForm, limits_of
from saas.currencies import currency_of
from tenants.ledger.models import Budget
from tenants.ledger.services import budget_create as create


def budget_create(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    actor = actor_of(request)

    def run(*, subject: str, **fields: Any) -> Any:
        kind, _colon, ref = subject.partition(":")
        currency = currency_of(actor.tenant_id)
        limits: Any = limits_of(fields, currency)
        return create(
            actor=actor, subject=Budget.Subject(kind), ref=ref, currency=currency, **limits
        )

    return ask(
        request,
        console,
        form=NewBudgetForm,
        initial=request.GET.dict(),
        run=run,
        then=lambda _: redirect("console:ledger_budget_changelist"),
        title=_("New budget"),
        done=_("The budget holds from now on."),
        crumbs=[
            {"title": _("Budgets"), "link": reverse("console:ledger_budget_changelist")},
            {"title": _("New budget")},
        ],
    )
