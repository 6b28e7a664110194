"""Signatures, part one: what the plugin declares is well-formed, and can be called by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from plugins.sdk.contracts import (
    CampaignPolicy,
    DatasetReader,
    Meter,
    Method,
    Pipeline,
    Price,
    Service,
)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LONGEST_STEP_S = 86_400.0
_LONGEST_TITLE, _LONGEST_TEXT = 120, 5000
_MOST_MONEY, _MOST_UNITS = Decimal(10) ** 9, Decimal(10) ** 12
_FINEST_SERVICE, _FINEST_PRICE = 6, 12  # decimals

Declared = Mapping[str, tuple[Any, ...]]  # what each declaring hook returned
# the hook that acts on what each of these hooks declares
ACTS_ON: Mapping[str, str] = {
    "pipelines": "run_step",
    "dataset_readers": "read_dataset",
    "training_methods": "run_method",
    "compression_methods": "run_method",
    "evaluations": "run_method",
    "campaign_policies": "campaign_prices",
}


def wrong_in(hook: str, declared: Declared, permissions: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with one hook's answer, whose types have been checked already."""
    answer = declared[hook]
    if hook == "prices":
        yield from _twice([each.meter for each in answer])
    else:
        yield from _names([each.name for each in answer])
    for each in answer:
        yield from _WRONG[type(each)](each, declared, permissions)


def _names(names: list[str]) -> Iterator[str]:
    yield from (f"{n!r} is not lower_case" for n in names if not _NAME.fullmatch(n))
    yield from _twice(names)


def _twice(names: list[str]) -> Iterator[str]:
    yield from (f"{n!r} is declared twice" for n, times in Counter(names).items() if times > 1)


def _pipeline(each: Pipeline, _: Declared, permissions: tuple[str, ...]) -> Iterator[str]:
    if not each.steps:
        yield f"{each.name} has no step"
    yield from (f"{each.name}: step {said}" for said in _names([step.name for step in each.steps]))
    for step in each.steps:
        where = f"{each.name}/{step.name}"
        if not 0 < step.time_limit_s <= _LONGEST_STEP_S:
            yield f"{where}: time_limit_s is not between 0 and {_LONGEST_STEP_S:.0f}"
        if step.engine and step is each.steps[0]:
            yield f"{where}: a step before it has to write {step.name}.json, the engine's request"
        yield from _queue(where, step.queue, permissions)


def _method(each: Method, _: Declared, permissions: tuple[str, ...]) -> Iterator[str]:
    yield from _queue(each.name, each.queue, permissions)


def _queue(where: str, queue: str, permissions: tuple[str, ...]) -> Iterator[str]:
    if queue == "gpu" and "gpu" not in permissions:
        yield f"{where} runs on gpu: ask for the permission gpu in plugin.toml"


def _reader(each: DatasetReader, _: Declared, __: tuple[str, ...]) -> Iterator[str]:
    if not each.suffixes:
        yield f"{each.name} reads no suffix"
    yield from (
        f"{each.name}: the suffix {suffix!r} does not begin with a dot"
        for suffix in each.suffixes
        if not suffix.startswith(".")
    )


def _service(each: Service, _: Declared, __: tuple[str, ...]) -> Iterator[str]:
    if (each.price is None) != (each.currency is None):
        yield f"{each.name}: a price needs a currency, and a currency a price"
    if not 1 <= len(each.title.strip()) <= _LONGEST_TITLE:
        yield f"{each.name}: a title has 1 to {_LONGEST_TITLE} characters"
    if len(each.description) > _LONGEST_TEXT:
        yield f"{each.name}: a description has at most {_LONGEST_TEXT} characters"
    if each.price is not None and each.price <= 0:
        yield f"{each.name}: a price is above 0; leave it out where it is quoted on request"
    elif each.price is not None:
        yield from _amount(each.name, each.price, _FINEST_SERVICE)
    yield from _currency(each.name, each.currency)


def _meter(each: Meter, _: Declared, __: tuple[str, ...]) -> Iterator[str]:
    if not each.unit.strip():
        yield f"{each.name} has no unit"
    if each.most_per_call <= 0:
        yield f"{each.name}: most_per_call is not above 0"
    elif each.most_per_call > _MOST_UNITS:
        yield f"{each.name}: most_per_call is above 10^12"


def _price(each: Price, declared: Declared, __: tuple[str, ...]) -> Iterator[str]:
    if each.meter not in {meter.name for meter in declared.get("meters", ())}:
        yield f"{each.meter} is no meter of this plugin"
    if each.amount < 0:
        yield f"{each.meter}: the price is below 0"
    else:
        yield from _amount(each.meter, each.amount, _FINEST_PRICE)
    yield from _currency(each.meter, each.currency)


def _amount(where: str, amount: Decimal, places: int) -> Iterator[str]:
    if amount >= _MOST_MONEY or amount != round(amount, places):
        yield f"{where}: a price is below 10^9, with at most {places} decimals, not {amount}"


def _currency(where: str, currency: str | None) -> Iterator[str]:
    if currency is not None and not _CURRENCY.fullmatch(currency):
        yield f"{where}: {currency!r} is no currency: write three capitals, such as USD"


def _policy(_: CampaignPolicy, __: Declared, ___: tuple[str, ...]) -> Iterator[str]:
    yield from ()


_WRONG: Mapping[type, Callable[[Any, Declared, tuple[str, ...]], Iterator[str]]] = {
    Pipeline: _pipeline,
    DatasetReader: _reader,
    Method: _method,
    CampaignPolicy: _policy,
    Service: _service,
    Meter: _meter,
    Price: _price,
}
