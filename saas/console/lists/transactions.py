"""The wallet's transactions: each with the postings on the organisation's own accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import F, Max, Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.money_words import ACCOUNT_KINDS
from saas.console.readonly import ReadOnlyAdmin, Section
from saas.console.words import Word
from tenants.ledger.models import LedgerPosting, LedgerTransaction

KINDS: Mapping[str, Word] = {
    "grant": _("Credit"),
    "charge": _("Charge"),
    "payment": _("Payment"),
    "expiry": _("Credit expired"),
    "withdrawal": _("Credit paid back"),
    "reversal": _("Reversal"),
    "rounding": _("Rounding"),
    "tax_change": _("Tax set right"),
    "credit_note": _("Credit note"),
    "write_off": _("Written off"),
    "recovery": _("Owed again"),
}


def with_effect(rows: QuerySet[Any], *, tenant_id: str) -> QuerySet[Any]:
    """Transactions with `effect`: what each did to the tenant's credit less what it owes.

    Postings are debit positive, so that is their sum on the tenant's own accounts, turned round.
    """
    own = Q(postings__tenant_id=tenant_id)
    found: QuerySet[Any] = rows.annotate(
        effect=-Sum("postings__amount", filter=own),
        currency=Max(F("postings__currency"), filter=own),
    )
    return found


class TransactionAdmin(ReadOnlyAdmin):
    reads = "billing.read"
    title = _("Transactions")
    intro = _("Everything that moved your credit. Nothing is ever changed: errors are reversed.")
    empty = _("Nothing has moved yet.")
    list_display = (
        show.moment("occurred_at", _("When")),
        show.word("kind", _("Kind"), KINDS),
        show.amount("effect", _("Effect")),
        show.code("id", _("Id")),
    )
    search_fields = ("id", "key")
    ordering = ("-id",)
    details = (
        show.code("id", _("Id")),
        show.word("kind", _("Kind"), KINDS),
        show.amount("effect", _("Effect")),
        show.moment("occurred_at", _("When")),
        show.moment("created_at", _("Recorded")),
        show.code("key", _("Key")),
        show.derived("labels", _("Labels"), show.as_pairs),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        from saas.console.asking import actor_of

        rows = super().get_queryset(request)
        return with_effect(rows, tenant_id=actor_of(request).tenant_id)

    def heading(self, row: LedgerTransaction) -> str:
        return str(KINDS.get(row.kind, row.kind))

    def sections(self, request: HttpRequest, row: LedgerTransaction) -> Sequence[Section]:
        del request
        postings = LedgerPosting.objects.filter(transaction=row).select_related("account")
        return [Section(_("Postings on your accounts"), POSTINGS, list(postings.order_by("id")))]


POSTINGS = (
    show.word("account.kind", _("Account"), ACCOUNT_KINDS),
    show.code("account.ref", _("Sub-account")),
    show.amount("amount", _("Debit (+), credit (−)")),
)
