"""The words of the marketplace: states of listings, orders and payouts, billing, failures."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from saas.console.words import Word

LISTING_STATES: Mapping[str, Word] = {
    "submitted": _("Submitted"),
    "checking": _("Under check"),
    "checked": _("Checked"),
    "approved": _("Approved"),
    "published": _("Published"),
    "suspended": _("Suspended"),
    "refused": _("Refused"),
}
ORDER_STATES: Mapping[str, Word] = {
    "ordered": _("Ordered"),
    "quoted": _("Quoted"),
    "accepted": _("Accepted"),
    "delivered": _("Delivered"),
    "confirmed": _("Confirmed"),
    "declined": _("Declined"),
    "cancelled": _("Cancelled"),
}
PAYOUT_STATES: Mapping[str, Word] = {"ordered": _("Ordered"), "paid": _("Paid out")}
BILLINGS: Mapping[str, Word] = {
    "once": _("Once"),
    "monthly": _("By the month"),
    "hourly": _("By the hour"),
}
VERDICTS: Mapping[str, Word] = {
    "passed": _("Passed"),
    "failed": _("Failed"),
    "skipped": _("Skipped"),
}
