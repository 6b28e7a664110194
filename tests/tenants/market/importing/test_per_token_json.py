"""The common per-token list: what it holds, and every way in which it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenants.kernel.errors import InvalidInput
from tenants.market.importing.per_token_json import price_list_read
from tenants.market.moves import Price

SAMPLE: dict[str, Any] = {
    "sample_spec": {"mode": "one of: chat, embedding", "input_cost_per_token": 0.0},
    "acme-1": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 2.5e-07,
    },
    "acme-free": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0.0,
    },
    "acme-unpriced": {"litellm_provider": "acme", "mode": "chat"},
    "acme-embed": {"litellm_provider": "acme", "mode": "embedding", "input_cost_per_token": 2e-8},
}


def test_text_models_are_read_as_prices_of_a_million() -> None:
    found = price_list_read(json.dumps(SAMPLE))
    assert [one.model for one in found.listed] == ["acme-1", "acme-free"]
    assert found.skipped == 2
    first, free = found.listed
    assert (first.price.input, first.price.output) == pytest.approx((2.5, 10.0))
    assert first.cached == pytest.approx(0.25)
    assert free.price == Price(0.0, 0.0)


def test_prices_of_a_million_under_a_per_token_name_are_asked_about() -> None:
    dear = SAMPLE["acme-1"] | {"input_cost_per_token": 2.5, "output_cost_per_token": 10}
    with pytest.raises(InvalidInput, match="look like prices per million") as caught:
        price_list_read(json.dumps({"acme-1": dear}))
    assert caught.value.code == "ambiguous_unit"
    (said,) = price_list_read(json.dumps({"acme-1": dear}), unit="per_million").listed
    assert said.price == Price(2.5, 10.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "one object"),
        ('{"a": NaN}', "numbers must be finite"),
        ('{"a": 3}', "'a' is no object"),
        ('{"a": {"mode": "chat"}}', "names no litellm_provider"),
        ('{"a": {"litellm_provider": "x", "input_cost_per_token": "1"}}', "is no price"),
        ('{"a": {"litellm_provider": "x", "input_cost_per_token": -1}}', "is no price"),
        ("{}", "no text model with a price"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        price_list_read(text)
