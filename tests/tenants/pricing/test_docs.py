"""docs/pricing.md works each of its lines out as the code does."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from tenants.pricing.charge_json import model_from_json
from tenants.pricing.charge_models import MODELS, ChargeModel, Matrix, amount
from tests.architecture.sources import ROOT

PAGE = (ROOT / "docs" / "pricing.md").read_text("utf-8")
LINES = re.findall(r"^\| `(\w+)`[^|]*\| `(\{.*\})` \| ([\d.]+) \| ([\d.]+) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "charge", "quantity", "costs"), LINES)
def test_a_line_costs_what_it_says(name: str, charge: str, quantity: str, costs: str) -> None:
    read = json.loads(charge)
    model = model_from_json(read)
    assert isinstance(model, ChargeModel)
    assert read["model"] == name
    assert amount(model, Decimal(quantity)) == Decimal(costs)


def test_every_model_is_shown() -> None:
    (matrix,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert isinstance(model_from_json(json.loads(matrix)), Matrix)
    assert {name for name, *_ in LINES} | {"matrix"} == MODELS.keys()
