"""A partner's listings, statements and payouts."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.filters import choice_filter
from saas.console.market_words import LISTING_STATES, PAYOUT_STATES, VERDICTS
from saas.console.readonly import ReadOnlyAdmin, Section
from tenants.marketplace.models import Listing, PartnerStatement

_STEPS = (
    show.moment("created_at", _("Time")),
    show.badge("state", _("State"), LISTING_STATES),
    show.text("reason", _("Why")),
)
_CHECKS = (
    show.text("group", _("Group")),
    show.text("subject", _("Subject")),
    show.derived("verdict", _("Verdict"), lambda value: VERDICTS.get(value, value)),
    show.text("message", _("Message")),
)
_SHARES = (
    show.text("cause", _("Kind")),
    show.text("seller", _("Sold as")),
    show.text("revenue", _("Line")),
    show.right(show.text("net", _("Sales"))),
    show.right(show.text("share", _("Share"))),
    show.right(show.text("cost", _("Compute borne"))),
)


def _progress(row: Listing) -> str:
    return f"{row.checks_made}: {row.check_subject}" if row.checks_made else ""


def _not_enforced(row: Listing) -> str:
    return ", ".join(row.conformance.get("not_enforced", ()))


LISTING_COLUMNS = (
    show.text("title", _("Plugin"), sort=True),
    show.text("version", _("Version")),
    show.badge("state", _("State"), LISTING_STATES),
    show.text("reason", _("Why")),
    show.moment("created_at", _("Submitted")),
)
LISTING_DETAILS = (
    show.code("id", _("Id")),
    *LISTING_COLUMNS,
    show.text("description", _("Description")),
    show.column(lambda row: ", ".join(row.manifest.get("permissions", [])), _("Permissions")),
    show.column(lambda row: row.manifest["licence"], _("Licence")),
    show.column(_progress, _("Checks made")),
    show.column(lambda row: row.conformance.get("level"), _("Checked at level")),
    show.column(_not_enforced, _("Not enforced there")),
    show.code("wheel_sha256", "SHA-256"),
    show.size("wheel_bytes", _("Size")),
)
STATEMENT_COLUMNS = (
    show.derived("period", _("Month"), lambda value: f"{value:%Y-%m}", sort=True),
    show.amount("sales", _("Sales")),
    show.amount("share", _("Share")),
    show.amount("cost", _("Compute borne")),
    show.amount("returns", _("Given back")),
    show.amount("minimum", _("Topped up")),
)
PAYOUT_COLUMNS = (
    show.moment("created_at", _("Ordered")),
    show.amount("amount", _("Amount")),
    show.text("payer", _("By")),
    show.badge("state", _("State"), PAYOUT_STATES),
    show.text("reference", _("Reference")),
    show.moment("paid_at", _("Paid out")),
)


def listing_sections(row: Listing) -> Sequence[Section]:
    checks = [type("Check", (), each) for each in row.conformance.get("checks", ())]
    found = [Section(_("What happened"), _STEPS, list(row.steps.order_by("id")))]
    return [*found, Section(_("Conformance"), _CHECKS, checks)] if checks else found


def statement_sections(row: PartnerStatement) -> Sequence[Section]:
    lines = [type("Line", (), line) for line in row.lines]
    return (Section(_("Lines"), _SHARES, lines),)


class ListingAdmin(ReadOnlyAdmin):
    reads = "partner.read"
    title = _("Listings")
    intro = _("Your plugins on their way to the marketplace. A change is a new version.")
    empty = _("Nothing was submitted yet.")
    list_tools = "console/listing_tool.html"
    list_display = LISTING_COLUMNS
    list_filter = (choice_filter("state", _("State"), LISTING_STATES),)
    details = LISTING_DETAILS

    def sections(self, request: HttpRequest, row: Listing) -> Sequence[Section]:
        del request
        return listing_sections(row)


class PartnerStatementAdmin(ReadOnlyAdmin):
    reads = "partner.read"
    title = _("Partner statements")
    intro = _("What each month brought, net of tax and discounts.")
    empty = _("No month is stated yet.")
    ordering = ("-period",)
    list_display = STATEMENT_COLUMNS
    details = STATEMENT_COLUMNS

    def sections(self, request: HttpRequest, row: PartnerStatement) -> Sequence[Section]:
        del request
        return statement_sections(row)

    def heading(self, row: PartnerStatement) -> str:
        return f"{row.period:%Y-%m}"


class PayoutAdmin(ReadOnlyAdmin):
    reads = "partner.read"
    title = _("Payouts")
    intro = _("What was sent to you, and when it arrived.")
    empty = _("Nothing was paid out yet.")
    list_display = PAYOUT_COLUMNS
    details = PAYOUT_COLUMNS
