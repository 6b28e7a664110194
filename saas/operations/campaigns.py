"""The campaign room: price wars rehearsed on our own books, compared, read, stopped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from saas.campaigns import (
    campaign_cancel,
    campaign_partners,
    campaign_propose,
    campaign_result,
    campaign_submit,
)
from saas.console import columns as show
from saas.console.asking import actor_of, ask, choices_set, perform
from saas.console.market_words import LEVER_WORDS, PRIOR_WORDS, policy_word
from saas.console.pages.live import percent
from saas.console.readonly import Section
from saas.console.words import JOB_STATES
from saas.markdown import as_html
from saas.operations.campaign_outcome import outcome_of
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.market.campaigns.dials import LEVERS, PRIORS, Dial, dialled
from tenants.market.drafting import Stated, campaign_draft
from tenants.market.following import campaign_followed
from tenants.market.proposing import Wish
from tenants.market.reporting.brief import brief
from tenants.market.reporting.plots import PLOTS, plot
from tenants.market.reporting.words import LANGUAGES
from tenants.market.selectors import offers
from tenants.pricing.selectors.guarding import budgets_open
from workers.jobs.models import Job
from workers.jobs.selectors import job_get, jobs_visible
from workers.jobs.states import FINAL, Kind, State

SHOWN = 50
PATHS = 10_000


class CampaignForm(forms.Form):
    """What the books do not know, and a slider for each lever and prior."""

    base = forms.ChoiceField(label=_("Our model"))
    name = forms.CharField(label=_("Name"), max_length=60, required=False)
    cash = forms.FloatField(label=_("Cash at hand"))
    cash_limit = forms.FloatField(label=_("Ruined beneath"), initial=0.0)
    own_share = forms.FloatField(
        label=_("Our share of customers"), min_value=0.001, max_value=0.999,
        initial=Stated.own_share,
    )  # fmt: skip
    outside_share = forms.FloatField(
        label=_("Share that buys nowhere"), min_value=0, max_value=0.999,
        initial=Stated.outside_share,
    )  # fmt: skip
    months = forms.IntegerField(label=_("Months"), min_value=1, max_value=120, initial=36)
    floor = forms.ChoiceField(
        label=_("Prices stay above"),
        choices=[
            ("long_run", _("the long-run cost")),
            ("short_run", _("the short-run cost, within a loss budget")),
        ],
    )
    seed = forms.IntegerField(label=_("Seed"), min_value=0, initial=1)
    partners = forms.MultipleChoiceField(
        label=_("Plugins' policies"),
        required=False,
        help_text=_("Compared with ours. Each is told our prices and costs."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = offers().values_list("base", "model_class")
        choices_set(self, "base", [(base, f"{base} · {kind}") for base, kind in rows])
        theirs = campaign_partners()
        choices_set(self, "partners", theirs)
        if not theirs:
            del self.fields["partners"]
        for name, (_effect, dial) in LEVERS.items():
            self.fields[f"lever_{name}"] = _slider(LEVER_WORDS[name], dial)
        for name, dial in PRIORS.items():
            self.fields[f"prior_{name}"] = _slider(PRIOR_WORDS[name], dial)


class PricesForm(forms.Form):
    """Which policy to follow, for how long, under which loss budget."""

    base = forms.ChoiceField(label=_("Our model"))
    policy = forms.ChoiceField(label=_("Policy"))
    months = forms.IntegerField(label=_("Months"), min_value=1, max_value=120)
    loss_budget_id = forms.ChoiceField(label=_("Loss budget"), required=False)
    volume_cap = forms.DecimalField(
        label=_("Tokens at which a price ends"), min_value=1, decimal_places=0, required=False
    )

    def __init__(self, result: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [row["policy"] for row in result["policies"]]
        budgets = [(row.id, row.reason) for row in budgets_open(database_now())]
        choices_set(self, "base", [(row.base, row.base) for row in offers()])
        choices_set(self, "policy", [(name, policy_word(name)) for name in names])
        choices_set(self, "loss_budget_id", [("", _("None: not below the floor")), *budgets])


def campaigns(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    rows = list(jobs_visible(Kind.CAMPAIGN).order_by("-id")[:SHOWN])
    return operations.page(
        request,
        "operations/campaigns.html",
        title=_("Campaigns"),
        campaigns=Section("", _CAMPAIGNS, rows),
    )


def campaign_new(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    return ask(
        request,
        operations,
        form=CampaignForm,
        run=lambda **fields: campaign_submit(actor=actor_of(request), spec=spec_of(fields)),
        then=lambda job: redirect("operations:campaign", job.id),
        title=_("Rehearse a price war"),
        done=_("The rehearsal is queued."),
        note=_(
            "Prices, costs, customers and rivals come from the books and the market's records. A "
            "slider sets the likeliest figure; half of it and one and a half times it bound it."
        ),
        crumbs=[
            {"title": _("Campaigns"), "link": reverse("operations:campaigns")},
            {"title": _("Rehearse a price war")},
        ],
    )


def campaign(request: HttpRequest, campaign_id: str) -> HttpResponse:
    from saas.operations.site import operations

    job = job_get(campaign_id, kind=Kind.CAMPAIGN)
    if request.method == "POST":
        actor = actor_of(request)
        perform(
            request,
            lambda: campaign_cancel(actor=actor, campaign_id=campaign_id),
            done=_("The rehearsal stops."),
        )
        return redirect("operations:campaign", campaign_id)
    done = job.state == State.SUCCEEDED
    result = campaign_result(campaign_id) if done else None
    return operations.page(
        request,
        "operations/campaign.html",
        title=job.spec["campaign"]["name"],
        crumbs=[
            {"title": _("Campaigns"), "link": reverse("operations:campaigns")},
            {"title": job.spec["campaign"]["name"]},
        ],
        job=job,
        badge=show.as_badge(job.state, JOB_STATES),
        percent=percent(job.step, job.steps, succeeded=done),
        final=State(job.state) in FINAL,
        brief=as_html(brief(result, _language())) if result else "",
        chart=months_chart(result) if result else None,
        plots=[*PLOTS] if result else [],
        outcomes=[outcome_of(one, result["currency"]) for one in campaign_followed(job.id, result)]
        if result
        else [],
    )


def campaign_prices(request: HttpRequest, campaign_id: str) -> HttpResponse:
    """Propose the prices of a rehearsed policy, once it was rehearsed."""
    from saas.operations.site import operations

    if job_get(campaign_id, kind=Kind.CAMPAIGN).state != State.SUCCEEDED:
        return redirect("operations:campaign", campaign_id)
    result = campaign_result(campaign_id)

    def run(**fields: Any) -> Any:
        return campaign_propose(
            actor=actor_of(request), campaign_id=campaign_id, wish=Wish(**fields)
        )

    return ask(
        request,
        operations,
        form=partial(PricesForm, result),
        run=run,
        then=lambda _made: redirect("operations:pricing_priceproposal_changelist"),
        title=_("Propose these prices"),
        done=_("The prices are proposed. They hold nowhere until another person approves them."),
        initial={"policy": result["recommendation"]["policy"] or "", "months": 3},
        crumbs=[
            {"title": _("Campaigns"), "link": reverse("operations:campaigns")},
            {"title": _("Propose these prices")},
        ],
    )


def campaign_plot(request: HttpRequest, campaign_id: str, name: str) -> HttpResponse:
    del request
    try:
        drawn = plot(campaign_result(campaign_id), name, "svg")
    except (Conflict, InvalidInput) as error:  # nothing to draw yet, or no such plot
        raise NotFound(error.message) from error
    return HttpResponse(drawn, content_type="image/svg+xml")


def spec_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The form's answers as a campaign. Raises what `campaign_draft` does."""
    stated = {name: fields[name] for name in ("cash", "cash_limit", "own_share", "outside_share")}
    drafted = campaign_draft(fields["base"], Stated(**stated), name=fields["name"])
    chosen = {name: fields[name] for name in ("months", "floor", "seed")}
    turned = dialled(drafted, _dials(fields, "prior_"), _dials(fields, "lever_"))
    named = [{"name": name} for name in fields.get("partners", ())]
    return {**turned, **chosen, "paths": PATHS, "policies": named}


def months_chart(result: Mapping[str, Any]) -> dict[str, Any]:
    """The median of cash by month, a line for each policy."""
    return {
        "labels": [str(month + 1) for month in range(result["months"])],
        "unit": result["currency"],
        "datasets": [
            {
                "label": str(policy_word(row["policy"])),
                "data": row["by_month"]["cash"]["median"],
                "line": True,
            }
            for row in result["policies"]
        ],
    }


def _dials(fields: Mapping[str, Any], prefix: str) -> dict[str, float]:
    return {k.removeprefix(prefix): v for k, v in fields.items() if k.startswith(prefix)}


def _slider(label: Any, dial: Dial) -> forms.FloatField:
    """Without steps: a browser would move a prior that stands between two of them."""
    shown = forms.NumberInput(attrs={"type": "range", "step": "any", "data-shown": "1"})
    return forms.FloatField(
        label=label, min_value=0, max_value=dial.most, initial=dial.usual, widget=shown
    )


def _language() -> str:
    chosen = get_language() or LANGUAGES[0]
    return chosen if chosen in LANGUAGES else LANGUAGES[0]


def _link(job: Job) -> Any:
    url = reverse("operations:campaign", args=[job.id])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, job.spec["campaign"]["name"])


def _proposed(job: Job) -> Any:
    if job.state != State.SUCCEEDED:
        return ""
    chosen = job.result["campaign"]["recommendation"]["policy"]
    return policy_word(chosen) if chosen else _("none")


_CAMPAIGNS = (
    show.column(_link, _("Campaign")),
    show.badge("state", _("State"), JOB_STATES),
    show.column(_proposed, _("Proposed")),
    show.moment("created_at", _("Made")),
    show.moment("finished_at", _("Ended")),
)
