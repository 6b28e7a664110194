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
MARKET_FORMATS: Mapping[str, Word] = {
    "moves_csv": _("CSV of moves"),
    "price_list_json": _("JSON price list, per token"),
}
MOVE_KINDS: Mapping[str, Word] = {
    "cut": _("Cut"),
    "rise": _("Rise"),
    "launch": _("Launch"),
    "free": _("Free tier"),
    "promotion": _("Promotion"),
    "promotion_end": _("Promotion ended"),
    "off_peak": _("Off-peak price"),
    "successor_cut": _("Successor, cheaper"),
    "successor_rise": _("Successor, dearer"),
}
ALERT_LEVELS: Mapping[str, Word] = {
    "below_floor": _("Below our floor"),
    "below_price": _("Below our price"),
    "moved": _("Moved"),
}
DELIVERY_STATES: Mapping[str, Word] = {
    "waiting": _("Waiting"),
    "delivered": _("Delivered"),
    "dead": _("Given up"),
}
POLICY_WORDS: Mapping[str, Word] = {
    "hold": _("Hold"),
    "match": _("Match"),
    "undercut": _("Undercut"),
    "hold_and_bundle": _("Hold and bundle services"),
    "tier": _("Tier"),
    "contract": _("Contract"),
    "niche": _("Niche"),
    "compress_to_price": _("Compress to price"),
}


def policy_word(name: str) -> Word:
    """A policy of ours in words; a plugin's by its full name."""
    return POLICY_WORDS.get(name, name)


LEVER_WORDS: Mapping[str, Word] = {
    "cheaper_training": _("Cheaper training: unit cost saved"),
    "utilisation": _("Utilisation: idle cost saved"),
    "waste": _("Waste stopped: idle cost saved"),
    "procurement": _("Procurement: unit cost saved"),
    "pruning": _("Pruning: unit cost saved"),
    "services": _("Services: revenue a customer and month"),
    "partner_revenue": _("Partners: revenue a month"),
    "partner_cost_share": _("Partners: share of variable cost they carry"),
    "new_lines": _("New lines: revenue a month"),
    "personalised_models": _("Personalised models: worth, in shares of our price"),
}
PRIOR_WORDS: Mapping[str, Word] = {
    "switching": _("Prior: what changing supplier costs, in shares of the price"),
    "stickiness": _("Prior: customers who do not even look"),
    "reaction": _("Prior: how often rivals answer, a month"),
    "steepness": _("Prior: how much more at a larger gap"),
    "matching": _("Prior: how much of the gap they close"),
    "launch_worth": _("Prior: what a rival's new model is worth"),
    "cost_decline": _("Prior: how fast unit costs fall, a month"),
}
OUTCOME_WORDS: Mapping[str, Word] = {
    "revenue": _("Revenue"),
    "tokens": _("Million tokens"),
    "loss": _("Sold below cost"),
    "price": _("Price of a million tokens"),
    "share": _("Share of customers"),
}
FOLLOWED_STATES: Mapping[str, Word] = {
    "proposed": _("Proposed"),
    "waiting": _("Waiting"),
    "under_way": _("Under way"),
    "ended": _("Has ended"),
}
MONTH_STATES: Mapping[str, Word] = {
    "over": _("Over"),
    "running": _("So far"),
    "to_come": _("To come"),
    "cut": _("Ended within it"),
    "ended": _("Ended before"),
}
VERDICT_WORDS: Mapping[str, Word] = {
    "within": _("as foreseen"),
    "below": _("below"),
    "above": _("above"),
}
UNKNOWN_WORDS: Mapping[str, Word] = {
    "to_come": _("not known yet"),
    "ended": _("the price had ended"),
    "nothing_sold": _("nothing was sold"),
    "no_rate": _("no exchange rate"),
    "not_foreseen": _("not foreseen by month"),
}
VERDICTS: Mapping[str, Word] = {
    "passed": _("Passed"),
    "failed": _("Failed"),
    "skipped": _("Skipped"),
}
