"""What a plugin declares when the platform asks is judged, whatever it told the conformance kit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from plugins.sdk.contracts import Meter, Pipeline, Price, Service, Step
from tenants.kernel.errors import InvalidInput
from tenants.marketplace.examining import declared_check

METER = Meter("lines", "line", "Lines", Decimal(100))
STEP = Step("read", "prepare")


def service(**changed: Any) -> Service:
    given = {"name": "advice", "title": "Advice", "description": "", "billing": "once",
             "price": Decimal(1), "currency": "USD"}  # fmt: skip
    return Service(**{**given, **changed})


@pytest.mark.parametrize(
    ("hook", "answer", "said"),
    [
        ("services", service(price=Decimal(-5)), "above 0"),
        ("services", service(price=Decimal("1e30")), "below 10"),
        ("services", service(price=Decimal("1e-20")), "decimals"),
        ("services", service(title="x" * 121), "1 to 120"),
        ("services", service(title=" "), "1 to 120"),
        ("services", service(description="x" * 5001), "at most 5000"),
        ("services", service(currency="ZZZ"), "no currency"),
        ("services", service(currency="euro"), "no currency"),
        ("services", service(name="Ａdvice"), "not lower_case"),
        ("meters", Meter("lines", "line", "Lines", Decimal("1e60")), r"above 10\^12"),
        ("meters", Meter("lines", "line", "Lines", Decimal(-1)), "not above 0"),
        ("prices", Price("lines", Decimal(-1), "USD"), "below 0"),
        ("prices", Price("lines", Decimal("1e50"), "USD"), "below 10"),
        ("prices", Price("lines", Decimal("1e-50"), "USD"), "decimals"),
        ("prices", Price("lines", Decimal(1), "ZZZ"), "no currency"),
        ("prices", Price("others", Decimal(1), "USD"), "no meter of this plugin"),
        ("pipelines", Pipeline("empty", "Empty", ()), "has no step"),
        ("pipelines", Pipeline("a", "A", (STEP, STEP)), "declared twice"),
        ("pipelines", Pipeline("a", "A", (Step("read", "prepare", time_limit_s=1e300),)),
         "time_limit_s"),
        ("pipelines", Pipeline("a", "A", (Step("read", "prepare", queue="gpu"),)),
         "permission gpu"),
    ],
)  # fmt: skip
def test_what_cannot_be_sold_or_run_is_refused(hook: str, answer: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        declared_check({"meters": (METER,), hook: (answer,)})


def test_two_prices_for_one_meter_are_refused() -> None:
    price = Price("lines", Decimal(1), "USD")
    with pytest.raises(InvalidInput, match="declared twice"):
        declared_check({"meters": (METER,), "prices": (price, price)})


def test_what_is_good_passes() -> None:
    asked = service(name="hours", price=None, currency=None)
    declared_check(
        {
            "meters": (METER,),
            "prices": (Price("lines", Decimal("0.5"), "USD"),),
            "services": (service(), asked),
            "pipelines": (Pipeline("a", "A", (STEP,)),),
        }
    )
