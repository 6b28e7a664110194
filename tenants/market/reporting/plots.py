"""A campaign's pictures, as PNG and SVG. matplotlib is loaded only when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tenants.kernel.errors import InvalidInput

Format = Literal["png", "svg"]
WIDEST = 12  # bars of a tornado


def plot(result: Mapping[str, Any], name: str, form: Format) -> bytes:
    """Draw one of `PLOTS`. The same result gives the same bytes. Raises InvalidInput."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    if name not in PLOTS:
        raise InvalidInput(f"there is no plot {name[:40]!r}; there are {', '.join(PLOTS)}")
    with mpl.rc_context({"svg.hashsalt": "campaign", "svg.fonttype": "none"}):
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        try:
            PLOTS[name](axes, result)
            into = io.BytesIO()
            kept = {"Date": None} if form == "svg" else {"Software": None}
            figure.savefig(into, format=form, dpi=120, metadata=kept)
        finally:
            plt.close(figure)
    return into.getvalue()


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


PLOTS: Mapping[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "cash": _cash,
    "share": _share,
    "price": _price,
    "tornado": _tornado,
}
