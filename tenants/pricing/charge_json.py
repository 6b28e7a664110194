"""Charge models as JSON, the form in which a price is stored and written by operators. Pure.

    {"model": "graduated", "per": "1000000",
     "tiers": [{"up_to": "1000000000", "unit": "0.60"}, {"up_to": null, "unit": "0.45"}]}

Numbers are strings (or whole numbers); never floats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.pricing.charge_models import (
    MODELS,
    AnyModel,
    ChargeModel,
    Graduated,
    Matrix,
    Package,
    Tier,
    Volume,
)
from tenants.pricing.exact import plain

MOST = Decimal(10) ** 15
DECIMALS = 12
MAX_TIERS = 50
MAX_CELLS = 2000


def model_from_json(given: Any) -> AnyModel:
    """Read a charge model. Raises InvalidInput(code="invalid_price"), naming what is wrong."""
    name, fields = _named(given)
    if name == "matrix":
        return _matrix(fields)
    kind = MODELS[name]
    known = {field.name for field in dataclasses.fields(kind)}
    _refuse_unknown(name, fields, known)
    values = {key: _value(key, value) for key, value in fields.items() if value is not None}
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name not in values
    ]
    if missing:
        raise _wrong(f"a {name} price needs {', '.join(missing)}")
    model = kind(**values)
    _check(model)
    return model


def model_to_json(model: AnyModel) -> dict[str, Any]:
    """Return the JSON from which `model_from_json` makes an equal model."""
    name = next(name for name, kind in MODELS.items() if type(model) is kind)
    if isinstance(model, Matrix):
        cells = [
            {"values": list(values), "charge": model_to_json(cell)} for values, cell in model.cells
        ]
        return {"model": name, "dimensions": list(model.dimensions), "cells": cells}
    fields = {
        field.name: _json(getattr(model, field.name))
        for field in dataclasses.fields(model)
        if getattr(model, field.name) != field.default
    }
    return {"model": name, **fields}


def _named(given: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(given, Mapping):
        raise _wrong("a charge is an object with a field `model`")
    fields = dict(given)
    name = fields.pop("model", None)
    if not isinstance(name, str) or name not in MODELS:
        raise _wrong(f"model is one of {', '.join(MODELS)}, not {name!r}")
    return name, fields


def _value(key: str, value: Any) -> Any:
    return _tiers(value) if key == "tiers" else _number(key, value)


def _number(key: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _wrong(f"{key} is a decimal in a string, not {value!r}")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise _wrong(f"{key} is a decimal, not {value!r}") from error
    if not number.is_finite() or not 0 <= number < MOST:
        raise _wrong(f"{key} is at least 0, under 10^15 and finite, not {value}")
    if number != round(number, DECIMALS):
        raise _wrong(f"{key} has at most {DECIMALS} decimals, not {value}")
    return number


def _tiers(value: Any) -> tuple[Tier, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong("tiers is a list")
    if not 1 <= len(value) <= MAX_TIERS:
        raise _wrong(f"a price has 1 to {MAX_TIERS} tiers")
    return tuple(_tier(item) for item in value)


def _tier(item: Any) -> Tier:
    if not isinstance(item, Mapping):
        raise _wrong("a tier is an object with up_to, unit and perhaps fee")
    _refuse_unknown("tier", item, {"up_to", "unit", "fee"})
    if "unit" not in item:
        raise _wrong("a tier needs its unit price")
    up_to = item.get("up_to")
    return Tier(
        up_to=None if up_to is None else _number("up_to", up_to),
        unit=_number("unit", item["unit"]),
        fee=_number("fee", item.get("fee", 0)),
    )


def _matrix(fields: Mapping[str, Any]) -> Matrix:
    _refuse_unknown("matrix", fields, {"dimensions", "cells"})
    dimensions, cells = fields.get("dimensions"), fields.get("cells")
    if not _words(dimensions) or len(set(dimensions or ())) != len(dimensions or ()):
        raise _wrong("a matrix names its dimensions, each once")
    if not isinstance(cells, Sequence) or isinstance(cells, str) or not cells:
        raise _wrong("a matrix needs cells")
    if len(cells) > MAX_CELLS:
        raise _wrong(f"a matrix has at most {MAX_CELLS} cells")
    read = tuple(_cell(cell, len(dimensions or ())) for cell in cells)
    if len({values for values, _ in read}) != len(read):
        raise _wrong("two cells of a matrix have the same values")
    return Matrix(dimensions=tuple(dimensions or ()), cells=read)


def _cell(cell: Any, width: int) -> tuple[tuple[str, ...], ChargeModel]:
    if not isinstance(cell, Mapping) or cell.keys() != {"values", "charge"}:
        raise _wrong("a cell is an object with values and charge")
    values = cell["values"]
    if not _words(values) or len(values) != width:
        raise _wrong(f"a cell has {width} values, one for each dimension")
    model = model_from_json(cell["charge"])
    if isinstance(model, Matrix):
        raise _wrong("a cell of a matrix is no matrix")
    return tuple(values), model


def _check(model: AnyModel) -> None:
    if isinstance(model, Graduated | Volume):
        _check_tiers(model.tiers)
    per = getattr(model, "per", None)
    if per is not None and (per < 1 or per != Decimal(1).scaleb(per.adjusted())):
        raise _wrong(f"per is a power of ten (1, 1000, 1000000), not {per}")
    if isinstance(model, Package) and model.size == 0:
        raise _wrong("a package has a size above 0")
    if isinstance(model, ChargeModel) and None not in {model.cap, model.minimum}:
        if model.minimum > model.cap:  # type: ignore[operator] -- neither is None
            raise _wrong("minimum is above cap")


def _check_tiers(tiers: Sequence[Tier]) -> None:
    if tiers[-1].up_to is not None:
        raise _wrong("the last tier has no up_to: it takes all further units (a gap)")
    below = Decimal(0)
    for tier in tiers[:-1]:
        if tier.up_to is None or tier.up_to <= below:
            raise _wrong("tiers ascend by up_to, each above the one before (an overlap)")
        below = tier.up_to


def _words(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(word, str) and word for word in value)
    )


def _refuse_unknown(name: str, fields: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(str(key) for key in fields.keys() - known):
        raise _wrong(f"{name} knows no {', '.join(unknown)}; it takes {', '.join(sorted(known))}")


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Tier):
        tier = {"up_to": _json(value.up_to), "unit": _json(value.unit)}
        return tier | ({"fee": _json(value.fee)} if value.fee else {})
    return value


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(message, param="charge", code="invalid_price")
