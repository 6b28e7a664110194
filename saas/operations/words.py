"""What operations' own things are called: bases of floors, states of proposals and budgets."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from saas.console.words import Word

BASES: Mapping[str, Word] = {
    "long_run_high": _("long-run average, its upper bound"),
    "long_run": _("long-run average"),
    "short_run": _("short-run marginal cost"),
}
PROPOSAL_STATES: Mapping[str, Word] = {
    "proposed": _("Proposed"),
    "approved": _("Approved"),
    "active": pgettext_lazy("proposal", "In force"),
    "ended": _("Ended"),
    "refused": _("Refused"),
}
BUDGET_ENDS: Mapping[str, Word] = {
    "": pgettext_lazy("loss budget", "Running"),
    "spent": _("Spent"),
    "volume": _("Volume reached"),
    "expired": _("Expired"),
    "closed": pgettext_lazy("loss budget", "Closed"),
}
MEASURES: Mapping[str, Word] = {"money": _("Money"), "time": _("Time")}
