"""Wallets across tenants: credit left and owed, grants; credit is given here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import DecimalField, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.acting import acting_on
from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.money_words import GRANT_KINDS
from saas.console.pages.wallet import source_name
from saas.console.readonly import Act, Section
from saas.operations.lists.work import OperatorAdmin
from saas.operations.once import OnceForm
from tenants.billing.services.credit import credit_grant
from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant, Hold, Wallet


class CreditForm(OnceForm):
    amount = forms.DecimalField(
        label=_("Amount"), min_value=Decimal("0.000001"), max_digits=20, decimal_places=6
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=80, help_text=_("The customer reads it.")
    )
    days = forms.IntegerField(
        label=_("Days until it expires"),
        min_value=1,
        max_value=3650,
        required=False,
        help_text=_("Empty: never."),
    )


def _grant(
    request: HttpRequest,
    wallet_id: str,
    *,
    key: str,
    amount: Decimal,
    reason: str,
    days: int | None,
) -> Any:
    currency = Wallet.objects.values_list("currency", flat=True).get(pk=wallet_id)
    return credit_grant(
        actor=acting_on(actor_of(request), Wallet.objects, wallet_id),
        key=key,
        kind=GrantKind.PROMOTION,
        amount=Money(amount, currency),
        reason=reason,
        expires_at=_midnight_after(days) if days else None,
    )


def _midnight_after(days: int) -> dt.datetime:
    """The end of a UTC day, so that the same form sent twice says the same."""
    last = now().astimezone(dt.UTC).date() + dt.timedelta(days=days)
    return dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)


class WalletAdmin(OperatorAdmin):
    title = _("Wallets")
    intro = _("What customers have paid ahead or were given, and what they owe.")
    list_display = (
        show.text("tenant.name", _("Tenant"), sort=True),
        show.amount("credit", _("Credit left")),
        show.amount("held", _("Held")),
        show.amount("receivable", _("Owed"), sort=True),
        show.amount("credit_limit", _("Credit limit")),
    )
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "tenant__slug", "tenant__id")
    details = (
        show.code("tenant_id", _("Tenant")),
        *list_display,
        show.percent("tax_rate", _("Tax rate")),
        show.text("tax_jurisdiction", _("Jurisdiction")),
    )
    acts = (
        Act(
            name="grant",
            label=_("Grant credit"),
            permission="billing.write",
            run=_grant,
            done=_("The credit is granted."),
            form=CreditForm,
            note=_("A promotion: it reduces revenue and is never cash."),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        grants = CreditGrant.objects.filter(wallet=OuterRef("pk")).order_by().values("wallet")
        amount: DecimalField[Any, Any] = DecimalField(max_digits=38, decimal_places=12)

        def total(name: str) -> Any:
            sums = grants.annotate(total=Sum(name)).values("total")
            return Coalesce(Subquery(sums), Decimal(0), output_field=amount)

        rows = super().get_queryset(request)
        return rows.annotate(credit=total("remaining"), held=total("held"))

    def heading(self, row: Wallet) -> str:
        return f"{row.tenant.name} · {row.currency}"

    def sections(self, request: HttpRequest, row: Wallet) -> Sequence[Section]:
        del request
        grants = CreditGrant.objects.filter(wallet=row).select_related("wallet").order_by("-id")
        holds = Hold.objects.filter(wallet=row, state="open").select_related("wallet")
        return [
            Section(_("Credit"), _GRANTS, list(grants[:100])),
            Section(_("Held for running work"), _HOLDS, list(holds.order_by("-id")[:100])),
        ]


_GRANTS = (
    show.word("kind", _("Kind"), GRANT_KINDS),
    show.amount("remaining", _("Left"), currency="wallet.currency"),
    show.amount("held", _("Held"), currency="wallet.currency"),
    show.amount("amount", _("At first"), currency="wallet.currency"),
    show.column(lambda grant: source_name(grant.source), _("From whom")),
    show.moment("created_at", _("Created")),
    show.moment("expires_at", _("Expires")),
)
_HOLDS = (
    show.code("key", _("For")),
    show.amount("amount", _("Set aside"), currency="wallet.currency"),
    show.amount("drawn", _("Charged"), currency="wallet.currency"),
    show.moment("created_at", _("Created")),
    show.moment("expires_at", _("Expires")),
)
