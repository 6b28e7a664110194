"""Purchase plans: made from the books, read beside what else one could buy, adopted, compared."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, ask, perform
from saas.console.pages.live import percent
from saas.console.readonly import Section
from saas.console.words import JOB_STATES
from saas.operations.once import OnceForm
from saas.operations.procurement_sections import actual_of, figures_of, plan_chart, sections_of
from saas.procurement import (
    procurement_adopt,
    procurement_cancel,
    procurement_result,
    procurement_submit,
    purchases_csv,
)
from tenants.costs.models import PurchasePlan
from tenants.costs.plan_actual import plan_actual
from tenants.costs.planning import MOST_MONTHS, MOST_SCENARIOS, Supplier, Wish
from tenants.costs.purchase_plans import plan_get, plan_in_force, plans
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from workers.jobs.models import Job
from workers.jobs.selectors import job_get, jobs_visible
from workers.jobs.states import FINAL, Kind, State

SHOWN = 50
HUNDRED = Decimal(100)


class PlanForm(OnceForm):
    """Shares in percent; what may be left empty is not asked for."""

    name = forms.CharField(label=_("Name"), max_length=60)
    months = forms.IntegerField(
        label=_("Months"), min_value=1, max_value=MOST_MONTHS, initial=Wish.months
    )
    scenarios = forms.IntegerField(
        label=_("Scenarios of demand"), min_value=1, max_value=MOST_SCENARIOS,
        initial=Wish.scenarios,
    )  # fmt: skip
    utilisation = forms.DecimalField(label=_("Planned utilisation in percent"), initial=Decimal(70))
    penalty = forms.DecimalField(
        label=_("What lacks costs, in prices on demand"), initial=Wish.penalty
    )
    budget = forms.DecimalField(label=_("To commit to in a month, at most"), required=False)
    service = forms.DecimalField(
        label=_("Demand to be met in any case, in percent"), initial=Decimal(0)
    )
    spot = forms.BooleanField(
        label=_("Work that can wait may go to spot"), required=False, initial=True
    )
    suppliers = forms.CharField(
        label=_("Suppliers' prices"),
        required=False,
        help_text=_("One a line: name, base model, USD for a million tokens."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )


def procurement(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    rows = list(plans()[:SHOWN])
    jobs = jobs_visible(Kind.PROCURE).in_bulk([row.id for row in rows])
    return operations.page(
        request,
        "operations/procurement.html",
        title=_("Purchase plans"),
        plans=Section("", _PLANS, [_Row(row, jobs[row.id]) for row in rows]),
    )


def procurement_new(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    def run(*, key: str, **fields: Any) -> Any:
        return procurement_submit(actor=actor_of(request), wish=wish_of(fields), key=key)

    return ask(
        request,
        operations,
        form=PlanForm,
        run=run,
        then=lambda plan: redirect("operations:procurement_plan", plan.id),
        title=_("Plan purchases"),
        done=_("The plan is queued."),
        note=_(
            "Demand is foreseen from the last year's work in the books, prices are those in force,"
            " capacity is what is offered. What an adopted plan has bought counts as held."
        ),
        crumbs=_crumbs(_("Plan purchases")),
    )


def procurement_plan(request: HttpRequest, plan_id: str) -> HttpResponse:
    from saas.operations.site import operations

    plan = plan_get(plan_id)
    if request.method == "POST":
        perform(
            request,
            lambda: procurement_cancel(actor=actor_of(request), plan_id=plan_id),
            done=_("The plan stops."),
        )
        return redirect("operations:procurement_plan", plan_id)
    job = job_get(plan.id, kind=Kind.PROCURE)
    done = job.state == State.SUCCEEDED
    result = procurement_result(plan_id) if done else None
    passed = plan_actual(plan, now())
    force = plan_in_force()
    return operations.page(
        request,
        "operations/procurement_plan.html",
        title=plan.name,
        crumbs=_crumbs(plan.name),
        plan=plan,
        job=job,
        badge=show.as_badge(job.state, JOB_STATES),
        percent=percent(job.step, job.steps, succeeded=done),
        final=State(job.state) in FINAL,
        replaces=force,
        adoptable=done and plan.adopted_at is None,
        figures=figures_of(result) if result else [],
        chart=plan_chart(plan, result) if result else None,
        sections=sections_of(plan, result) if result else [],
        left_out=sorted(plan.drafted["left_out"].items()),
        **actual_of(plan, passed),
    )


def procurement_plan_adopt(request: HttpRequest, plan_id: str) -> HttpResponse:
    """Adopt a plan, in the place of the one that its page showed as in force."""
    if request.method == "POST":
        actor, replaces = actor_of(request), request.POST.get("replaces", "")
        perform(
            request,
            lambda: procurement_adopt(actor=actor, plan_id=plan_id, replaces=replaces),
            done=_("The plan is in force. From its first month on it is set beside what happens."),
        )
    return redirect("operations:procurement_plan", plan_id)


def procurement_plan_csv(request: HttpRequest, plan_id: str) -> HttpResponse:
    del request
    plan = plan_get(plan_id)
    _result(plan)
    return _download(HttpResponse(purchases_csv(plan), content_type="text/csv"), f"{plan.id}.csv")


def procurement_plan_json(request: HttpRequest, plan_id: str) -> HttpResponse:
    del request
    plan = plan_get(plan_id)
    told = {"plan": {"id": plan.id, "name": plan.name, "starts": plan.starts.isoformat()}}
    content = {**told, "result": _result(plan)}
    return _download(JsonResponse(content), f"{plan.id}.json")


def _result(plan: PurchasePlan) -> dict[str, Any]:
    """What there is to export. Raises NotFound."""
    try:
        return procurement_result(plan.id)
    except Conflict as error:  # not yet, or never
        raise NotFound(error.message) from error


def wish_of(fields: Mapping[str, Any]) -> Wish:
    """The form's answers. Raises InvalidInput, naming the line that cannot be read."""
    given = {
        name: fields[name] for name in ("name", "months", "scenarios", "penalty", "budget", "spot")
    }
    return Wish(
        **given,
        utilisation=fields["utilisation"] / HUNDRED,
        service=fields["service"] / HUNDRED,
        suppliers=tuple(
            _supplier(line) for line in fields["suppliers"].splitlines() if line.strip()
        ),
    )


def _supplier(line: str) -> Supplier:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != 3:
        raise InvalidInput(
            f"{line!r} is no name, base model and price with commas between", param="suppliers"
        )
    try:
        price = Decimal(parts[2])
    except InvalidOperation:
        raise InvalidInput(f"{line!r} ends in no number", param="suppliers") from None
    return Supplier(parts[0], parts[1], price)


def _crumbs(title: Any) -> list[dict[str, Any]]:
    first = {"title": _("Purchase plans"), "link": reverse("operations:procurement")}
    return [first, {"title": title}]


def _download(answer: HttpResponse, name: str) -> HttpResponse:
    answer["content-disposition"] = f'attachment; filename="{name}"'
    answer["x-content-type-options"] = "nosniff"
    return answer


class _Row:
    """A plan beside its job."""

    def __init__(self, plan: PurchasePlan, job: Job) -> None:
        self.plan, self.state = plan, job.state
        self.result = plan.result or (job.result or {}).get("plan")


def _link(row: _Row) -> Any:
    url = reverse("operations:procurement_plan", args=[row.plan.id])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, row.plan.name)


def _cost(row: _Row) -> Any:
    if not row.result:
        return None
    return show.as_cents(Decimal(repr(row.result["cost"])), row.plan.drafted["currency"])


def _standing(row: _Row) -> Any:
    if row.plan.in_force:
        return show.as_badge("active", {"active": _("In force")})
    return _("Ended") if row.plan.ended_at else None


_PLANS = (
    show.column(_link, _("Plan")),
    show.badge("state", _("State"), JOB_STATES),
    show.column(_standing, _("Standing")),
    show.text("plan.starts", _("From")),
    show.number("plan.months", _("Months")),
    show.right(show.column(_cost, _("Expected cost"))),
    show.moment("plan.created_at", _("Made")),
    show.moment("plan.adopted_at", _("Adopted")),
)
