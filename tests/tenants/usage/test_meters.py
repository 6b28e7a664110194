"""Meters: one registry in code."""

from __future__ import annotations

import pytest

from tenants.kernel.errors import InvalidInput
from tenants.usage.meters import METERS, meter_named


def test_each_meter_is_found_by_its_name() -> None:
    for name, meter in METERS.items():
        assert meter_named(name) is meter
        assert meter.name == name


def test_an_unknown_meter_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        meter_named("tokens.imagined")
    assert refused.value.code == "unknown_meter"
    assert "tokens.imagined" in refused.value.message
    assert "tokens.trained" in refused.value.message


def test_no_meter_tells_attempts_apart() -> None:
    """Work repeated after a crash must be the same event, so nothing in it may name the attempt."""
    for meter in METERS.values():
        assert not {"attempt", "token", "worker"} & meter.dimensions, meter.name


def test_a_dimension_is_either_required_or_optional() -> None:
    for meter in METERS.values():
        assert not meter.required & meter.optional, meter.name
