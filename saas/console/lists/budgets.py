"""Budgets: a month's limits for the organisation, a key or a model; made, changed, archived."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from saas.budgets import with_use
from saas.console import columns as show
from saas.console.asking import actor_of, choices_set
from saas.console.money_words import BUDGET_SUBJECTS
from saas.console.readonly import Act, ReadOnlyAdmin
from saas.console.words import Word
from tenants.accounts.models import ApiKey
from tenants.kernel.money import Money
from tenants.ledger.models import Budget
from tenants.ledger.services import budget_archive, budget_update

STATES: Mapping[str, Word] = {
    "ample": _("Within limits"),
    "near": _("Beyond the alert"),
    "passed": _("Limit reached"),
    "archived": _("Archived"),
}


def state_of(row: Any) -> str:
    if row.archived_at is not None:
        return "archived"
    if row.hard is not None and row.used >= row.hard:
        return "passed"
    return "near" if row.soft is not None and row.used >= row.soft else "ample"


def bar_of(row: Any) -> str:
    """How much of the limit (of the alert, where there is no limit) is used up."""
    limit = row.hard if row.hard is not None else row.soft
    percent = min(100, int(100 * row.used / limit)) if limit else 100
    tone = {"near": "warning", "passed": "danger"}.get(state_of(row), "")
    context = {"percent": percent, "small": True, "tone": tone}
    return render_to_string("console/bar.html", context)


class BudgetForm(forms.Form):
    """Two limits, of which one at least is set."""

    soft = forms.DecimalField(
        label=_("Alert beyond"),
        min_value=Decimal(0),
        max_digits=26,
        decimal_places=6,
        required=False,
        help_text=_("You are told once a month; work goes on."),
    )
    hard = forms.DecimalField(
        label=_("Refuse beyond"),
        min_value=Decimal(0),
        max_digits=26,
        decimal_places=6,
        required=False,
        help_text=_("Nothing new that costs money is begun."),
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("soft") is None and given.get("hard") is None:
            raise forms.ValidationError(_("Give one of the two limits."))
        return given


class NewBudgetForm(BudgetForm):
    """`subject` holds kind and reference: `tenant:`, `api_key:key_…`, `model:…`."""

    subject = forms.ChoiceField(label=_("For"))
    field_order = ("subject", "soft", "hard")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from saas.console.pages.playground import callable_models

        super().__init__(*args, **kwargs)
        keys = ApiKey.objects.filter(revoked_at__isnull=True).exclude(name="Playground")
        choices: list[tuple[Any, Any]] = [
            ("tenant:", _("The whole organisation")),
            (_("API keys"), [(f"api_key:{key.pk}", key.name) for key in keys.order_by("name")]),
            (_("Models"), [(f"model:{name}", name) for name in callable_models()]),
        ]
        choices_set(self, "subject", choices)


def _ref(row: Budget) -> Any:
    """What the budget is for, by name."""
    if row.subject == Budget.Subject.TENANT:
        return BUDGET_SUBJECTS["tenant"]
    return getattr(row, "key_name", None) or row.ref


def limits_of(fields: Mapping[str, Decimal | None], currency: str) -> dict[str, Money | None]:
    return {
        name: None if amount is None else Money(amount, currency) for name, amount in fields.items()
    }


def _change(request: HttpRequest, budget_id: str, **fields: Any) -> Any:
    currency = Budget.objects.values_list("currency", flat=True).get(pk=budget_id)
    limits: Any = limits_of(fields, currency)
    return budget_update(actor=actor_of(request), budget_id=budget_id, **limits)


def _archive(request: HttpRequest, budget_id: str) -> Any:
    return budget_archive(actor=actor_of(request), budget_id=budget_id)


class BudgetAdmin(ReadOnlyAdmin):
    reads = "billing.read"
    title = _("Budgets")
    intro = _("Limits for a UTC month, tax in them. They bind everything that costs money.")
    empty = _("No budgets yet. Without one, only your credit limits what is spent.")
    list_tools = "console/budget_tool.html"
    list_display = (
        show.column(_ref, _("For")),
        show.column(lambda row: show.as_badge(state_of(row), STATES), _("State")),
        show.column(bar_of, _("Used")),
        show.amount("used", _("Spent and held")),
        show.amount("soft", _("Alert beyond")),
        show.amount("hard", _("Refuse beyond")),
    )
    details = (
        show.column(_ref, _("For")),
        show.word("subject", _("Kind"), BUDGET_SUBJECTS),
        show.column(lambda row: show.as_badge(state_of(row), STATES), _("State")),
        show.column(bar_of, _("Used")),
        show.amount("spent_now", _("Spent this month")),
        show.amount("held_now", _("Held for running work")),
        show.amount("soft", _("Alert beyond")),
        show.amount("hard", _("Refuse beyond")),
        show.moment("created_at", _("Created")),
        show.moment("archived_at", _("Archived")),
        show.code("id", _("Id")),
    )
    acts = (
        Act(
            name="change",
            label=_("Change"),
            permission="billing.write",
            run=_change,
            done=_("The budget is changed."),
            offered=lambda row: row.archived_at is None,
            form=BudgetForm,
            initial=lambda row: {"soft": _plain(row.soft), "hard": _plain(row.hard)},
        ),
        Act(
            name="archive",
            label=_("Archive"),
            permission="billing.write",
            run=_archive,
            done=_("The budget limits nothing any more."),
            offered=lambda row: row.archived_at is None,
            danger=True,
            confirm=_("Archive this budget? It limits nothing afterwards."),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        names = ApiKey.objects.filter(pk=OuterRef("ref")).values("name")
        rows = with_use(super().get_queryset(request).annotate(key_name=Subquery(names)))
        if request.resolver_match and "changelist" in (request.resolver_match.url_name or ""):
            rows = rows.filter(archived_at__isnull=True)
        return rows

    def heading(self, row: Budget) -> str:
        return str(_ref(row))


def _plain(amount: Decimal | None) -> str:
    """An amount as one would type it."""
    return "" if amount is None else f"{amount.normalize():f}"
