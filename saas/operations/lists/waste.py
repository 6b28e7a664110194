"""Waste: what leaks, the evidence, and the button that stops it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.readonly import Act
from saas.console.waste_words import ACTIONS, EVIDENCE, KINDS, STATES
from saas.operations.lists.work import OperatorAdmin
from tenants.costs.models import WasteFinding
from tenants.costs.waste import finding_close, waste_joint
from workers.waste import actions
from workers.waste.services import waste_apply, waste_undo

State = WasteFinding.State


def _apply(request: HttpRequest, finding_id: str) -> Any:
    return waste_apply(actor=actor_of(request), finding_id=finding_id)


def _undo(request: HttpRequest, finding_id: str) -> Any:
    return waste_undo(actor=actor_of(request), finding_id=finding_id)


def _close(request: HttpRequest, finding_id: str) -> Any:
    return finding_close(actor=actor_of(request), finding_id=finding_id)


def _can_be_undone(row: WasteFinding) -> bool:
    return row.state == State.APPLIED and actions.ACTIONS[row.action].undo is not None


def _evidence(evidence: Mapping[str, Any]) -> Any:
    return show.as_pairs({str(EVIDENCE.get(name, name)): v for name, v in evidence.items()})


def _money(name: str, label: Any, *, sort: bool = False) -> show.Cell:
    def text(value: Decimal | None) -> str | None:
        return None if value is None else show.as_cents(value, "USD")

    return show.right(show.derived(name, label, text, sort=sort))


class WasteAdmin(OperatorAdmin):
    title = _("Waste")
    intro = _(
        "Money that leaks, by what was seen in the last four weeks; looked for once a day. What a "
        "finding saves alone overlaps with others; what it saves beside them sums up."
    )
    ordering = ("-saving",)
    acts = (
        Act(
            name="apply",
            label=_("Stop it"),
            permission="jobs.write",
            run=_apply,
            done=_("Done. What it saves is measured from tomorrow on."),
            offered=lambda row: row.state == State.OPEN,
            confirm=_("Do what this finding proposes?"),
        ),
        Act(
            name="undo",
            label=_("Take it back"),
            permission="jobs.write",
            run=_undo,
            done=_("It is as it was before."),
            offered=_can_be_undone,
        ),
        Act(
            name="close",
            label=_("It is meant to be so"),
            permission="jobs.write",
            run=_close,
            done=_("The finding is closed; it opens again if it is still there."),
            offered=lambda row: row.state == State.OPEN,
        ),
    )
    list_display = (
        show.word("kind", _("Kind"), KINDS),
        show.code("subject", _("About")),
        show.word("action", _("What to do"), ACTIONS),
        _money("saving", _("A month"), sort=True),
        _money("beside", _("Beside the others")),
        show.badge("state", _("State"), STATES),
        _money("measured", _("Saved, as measured")),
        show.moment("first_seen_at", _("Since")),
    )
    list_filter = (
        choice_filter("state", _("State"), STATES),
        choice_filter("kind", _("Kind"), KINDS),
    )
    search_fields = ("subject", "tenant_id", "kind")
    details = (
        *list_display,
        show.code("tenant_id", _("Tenant")),
        show.derived("evidence", _("Evidence"), _evidence),
        show.derived("arguments", _("What would change"), show.as_pairs),
        _money("before", _("Cost a month before")),
        _money("after", _("Cost a month since")),
        show.moment("applied_at", _("Done on")),
        show.moment("undo_until", _("Can be taken back until")),
        show.moment("last_seen_at", _("Last seen")),
    )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        joint = waste_joint()
        together = _("All together: %(amount)s a month.") % {
            "amount": show.as_cents(joint.amount, joint.currency)
        }
        given = {"list_intro": f"{self.intro} {together}", **(extra_context or {})}
        return super().changelist_view(request, given)
