"""Terms: what is refused and where, and that they come back from JSON as they went."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import InvalidInput
from tenants.ledger.chart import RevenueLine
from tenants.partners.terms import terms_from_json, terms_to_json

GOOD: dict[str, Any] = {"currency": "USD", "lines": {"plugins": {"share": "0.7"}}}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"currency": "XXY"}, "currency"),
        ({"lines": {}}, "lines"),
        ({"lines": {"plugin": {"share": "0.7"}}}, "lines"),
        ({"lines": {"plugins": {"share": "1.1"}}}, "lines.plugins.share"),
        ({"lines": {"plugins": {"share": 0.7}}}, "lines.plugins.share"),
        ({"lines": {"plugins": {"share": "NaN"}}}, "lines.plugins.share"),
        ({"lines": {"plugins": {"share": "0.7", "tiers": []}}}, "lines.plugins"),
        ({"lines": {"plugins": {"tiers": [{"up_to": "5", "share": "0"}]}}}, "lines.plugins.tiers"),
        ({"hold_days": -1}, "hold_days"),
        ({"promotion": "nobody"}, "promotion"),
        ({"cost_cap": "-1"}, "cost_cap"),
        ({"gift": "1"}, "terms"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        terms_from_json({**GOOD, **change}, revenues=RevenueLine.values)
    assert (refused.value.param, refused.value.code) == (where, "invalid_terms")


shares = st.integers(0, 10**6).map(lambda n: f"{n / 10**6:.6f}")


@given(
    share=shares,
    minimum=st.integers(0, 10**6).map(str),
    promotion=st.sampled_from(("platform", "partner", "both")),
    cap=st.one_of(st.none(), st.integers(0, 10**6).map(str)),
    hold=st.integers(0, 365),
)
def test_terms_come_back_as_they_went(
    share: str, minimum: str, promotion: str, cap: str | None, hold: int
) -> None:
    given_ = {
        "currency": "JPY",
        "hold_days": hold,
        "lines": {"services": {"share": share, "minimum": minimum}},
        "promotion": promotion,
        "cost_cap": cap,
    }
    terms = terms_from_json(given_)
    assert terms_from_json(terms_to_json(terms)) == terms
