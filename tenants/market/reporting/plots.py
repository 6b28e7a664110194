"""A campaign's pictures, as PNG and SVG. matplotlib is loaded only when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tenants.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from tenants.market.following import Followed, Month

Format = Literal["png", "svg"]
WIDEST = 12  # bars of a tornado


def plot(result: Mapping[str, Any], name: str, form: Format) -> bytes:
    """Draw one of `PLOTS`. The same result gives the same bytes. Raises InvalidInput."""
    if name not in PLOTS:
        raise InvalidInput(f"there is no plot {name[:40]!r}; there are {', '.join(PLOTS)}")
    return _drawn(1, lambda axes: PLOTS[name](axes[0], result), form)


def outcome_plot(followed: Followed, currency: str, form: Format) -> bytes:
    """What happened, as points on the bands that were foreseen; a part for each figure."""

    def draw(axes: Sequence[Any]) -> None:
        for one, (figure, label) in zip(axes, OUTCOME_LABELS.items(), strict=True):
            _outcome(one, followed.months, figure)
            one.set_ylabel(label.format(currency=currency), fontsize=8)

    return _drawn(len(OUTCOME_LABELS), draw, form)


def _drawn(parts: int, draw: Callable[[Sequence[Any]], None], form: Format) -> bytes:
    """A picture of so many parts, one under the other."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.hashsalt": "campaign", "svg.fonttype": "none"}):
        size = (8, 4.5 if parts == 1 else 2.0 * parts)
        figure, axes = plt.subplots(parts, squeeze=False, figsize=size, layout="constrained")
        try:
            draw(list(axes[:, 0]))
            into = io.BytesIO()
            kept = {"Date": None} if form == "svg" else {"Software": None}
            figure.savefig(into, format=form, dpi=120, metadata=kept)
        finally:
            plt.close(figure)
    return into.getvalue()


def _outcome(axes: Any, months: Sequence[Month], name: str) -> None:
    """A ring is a month that is not over, or was cut short."""
    bands = {m.number: band for m in months if (band := m.figures[name].foreseen) is not None}
    if bands:
        numbers = list(bands)
        low, middle, high = ([b[end] for b in bands.values()] for end in ("low", "median", "high"))
        axes.fill_between(numbers, low, high, color="C0", alpha=0.2)
        axes.plot(numbers, middle, color="C0")
    for month in months:
        actual = month.figures[name].actual
        if actual is not None:
            fill = "C1" if month.state == "over" else "none"
            axes.plot(month.number, float(actual), "o", color="C1", markerfacecolor=fill)
    axes.set_xticks([month.number for month in months])


def _bands(axes: Any, result: Mapping[str, Any], figure: str, label: str) -> None:
    for number, row in enumerate(result["policies"]):
        band = row["by_month"][figure]
        months = range(1, len(band["median"]) + 1)
        axes.plot(months, band["median"], color=f"C{number}", label=row["policy"])
        if row["policy"] == result["recommendation"]["leader"]:
            axes.fill_between(months, band["low"], band["high"], color=f"C{number}", alpha=0.2)
    axes.set_xlabel("month")
    axes.set_ylabel(label)
    axes.legend(fontsize=7)


def _cash(axes: Any, result: Mapping[str, Any]) -> None:
    _bands(axes, result, "cash", f"cash, {result['currency']} (median; band 10% to 90%)")
    axes.axhline(result["spec"]["own"]["cash_limit"], color="black", linestyle=":")


def _share(axes: Any, result: Mapping[str, Any]) -> None:
    _bands(axes, result, "share", "our share of customers")


def _price(axes: Any, result: Mapping[str, Any]) -> None:
    _bands(axes, result, "price", f"our price, {result['currency']} a million tokens")


def _tornado(axes: Any, result: Mapping[str, Any]) -> None:
    bars = result["tornado"][:WIDEST][::-1]
    for place, bar in enumerate(bars):
        for end, colour in (("low", "C0"), ("high", "C1")):
            other = bar["cash_at_high" if end == "low" else "cash_at_low"]
            middle = (bar[f"cash_at_{end}"] + other) / 2
            axes.barh(place, bar[f"cash_at_{end}"] - middle, left=middle, color=colour)
    axes.set_yticks(range(len(bars)), [bar["assumption"] for bar in bars], fontsize=7)
    axes.set_xlabel(f"cash at the end, {result['currency']}; blue: low end of the prior")


OUTCOME_LABELS: Mapping[str, str] = {
    "revenue": "revenue, {currency}",
    "tokens": "million tokens",
    "loss": "below cost, {currency}",
    "price": "price, {currency} a million",
    "share": "share of customers",
}
PLOTS: Mapping[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "cash": _cash,
    "share": _share,
    "price": _price,
    "tornado": _tornado,
}
