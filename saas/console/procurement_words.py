"""What purchase plans speak of, in the reader's language: assumptions, baselines, offers."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from saas.console.words import Word

OFFER_KINDS: Mapping[str, Word] = {
    "reserved": _("Reserved"),
    "owned": _("Owned"),
}
BASELINES: Mapping[str, Word] = {
    "nothing": _("All on demand"),
    "single_term": _("The best single term"),
    "rule_of_thumb": _("A rule of thumb: the cheapest offer for seven tenths of mean demand"),
    "clairvoyant": _("A clairvoyant, whom no plan can beat"),
}
CHANGES: Mapping[str, Word] = {
    "demand": _("Demand"),
    "on_demand": _("Prices on demand"),
    "spot": _("Spot prices"),
    "offers": _("Prices of offers"),
    "no_spot": _("Without spot"),
}
CHEAPER: Mapping[str, Word] = {
    "make": _("Serve it ourselves"),
    "buy": _("Buy it"),
}
