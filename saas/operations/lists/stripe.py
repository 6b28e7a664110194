"""Stripe, as staff see it: what differs from our books, what it told us, what we asked of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.money_words import (
    STRIPE_CALL_STATES,
    STRIPE_EVENT_STATES,
    STRIPE_FINDING_STATES,
    STRIPE_KINDS,
)
from saas.console.readonly import Act
from saas.operations.lists.work import OperatorAdmin
from tenants.billing.stripe.findings import finding_close
from tenants.billing.stripe.models import StripeFinding

_tenant = show.text("tenant.name", _("Tenant"))


def _close(request: HttpRequest, finding_id: str) -> Any:
    return finding_close(actor=actor_of(request), finding_id=finding_id)


class FindingAdmin(OperatorAdmin):
    title = _("Stripe findings")
    intro = _("Where Stripe and our books disagree, or a person must decide. Compared once a day.")
    ordering = ("-first_seen_at",)
    acts = (
        Act(
            name="close",
            label=_("Dealt with"),
            permission="billing.write",
            run=_close,
            done=_("The finding is closed; it opens again if it is still there."),
            offered=lambda row: row.state == StripeFinding.State.OPEN,
        ),
    )
    list_display = (
        show.text("kind", _("Kind"), sort=True),
        show.code("subject", _("About")),
        show.text("action", _("What to do")),
        show.badge("state", _("State"), STRIPE_FINDING_STATES),
        show.moment("first_seen_at", _("Since")),
        show.moment("last_seen_at", _("Last seen")),
    )
    list_filter = (choice_filter("state", _("State"), STRIPE_FINDING_STATES),)
    search_fields = ("kind", "subject", "tenant_id")
    details = (
        *list_display,
        show.code("tenant_id", _("Tenant")),
        show.derived("evidence", _("Evidence"), show.as_pairs),
    )


class EventAdmin(OperatorAdmin):
    title = _("Stripe webhooks")
    intro = _("Kept by their id, and answered at once. Each says only which object to look at.")
    ordering = ("-received_at",)
    list_display = (
        show.moment("received_at", _("Received")),
        show.text("type", _("Kind")),
        show.code("object_id", _("About")),
        show.badge("state", _("State"), STRIPE_EVENT_STATES),
        show.number("attempts", _("Tries")),
        show.text("error", _("Error")),
    )
    list_filter = (choice_filter("state", _("State"), STRIPE_EVENT_STATES),)
    search_fields = ("id", "type", "object_id")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.text("api_version", _("Version")),
        show.moment("made_at", _("Created")),
        show.moment("handled_at", _("Finished")),
    )


class CallAdmin(OperatorAdmin):
    title = _("Stripe requests")
    intro = _("Decided in a transaction, sent outside of any, under a key that holds for ever.")
    ordering = ("-created_at",)
    list_display = (
        show.text("operation", _("Kind"), sort=True),
        _tenant,
        show.code("key", _("For")),
        show.badge("state", _("State"), STRIPE_CALL_STATES),
        show.number("attempts", _("Tries")),
        show.text("error", _("Error")),
        show.moment("created_at", _("Created")),
    )
    list_filter = (choice_filter("state", _("State"), STRIPE_CALL_STATES),)
    list_select_related = ("tenant",)
    search_fields = ("id", "key", "answer_id", "operation", "tenant__name")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.code("answer_id", _("Answer")),
        show.moment("done_at", _("Finished")),
    )


class ObjectAdmin(OperatorAdmin):
    title = _("Stripe objects")
    intro = _("Customers, subscriptions, payouts and all else, as they stood when last seen.")
    ordering = ("-seen_at",)
    list_display = (
        show.word("kind", _("Kind"), STRIPE_KINDS),
        _tenant,
        show.code("stripe_id", _("Id")),
        show.text("state", _("State")),
        show.amount("amount", _("Amount"), sort=True),
        show.moment("seen_at", _("Last seen")),
    )
    list_filter = (choice_filter("kind", _("Kind"), STRIPE_KINDS),)
    list_select_related = ("tenant",)
    search_fields = ("stripe_id", "our_id", "tenant__name")
    details = (
        *list_display,
        show.code("our_id", _("For")),
        show.derived("data", _("Facts"), show.as_pairs),
    )
