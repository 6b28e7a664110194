"""Signatures, part two: hooks load, declare, and are called with contracts of our making."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from plugins.host.calls import NEEDS
from plugins.host.errors import CallFailed
from plugins.kit.checks.declarations import ACTS_ON, Declared, wrong_in
from plugins.kit.report import Check, Verdict
from plugins.kit.stand import Stand
from plugins.sdk.contracts import (
    CampaignStep,
    JobFinished,
    MeterTotal,
    Page,
    Quote,
    UsageRecorded,
)
from plugins.sdk.hooks import declaring, hooks
from plugins.sdk.testing import paths_reversed

_STEP = CampaignStep(
    0,
    own_prices=tuple(map(Decimal, ("1.00", "0.50", "0.01", "2.5", "0.8"))),
    rival_prices=tuple(map(Decimal, ("0.01", "0.50", "1.00", "2.5", "0.2"))),
    unit_costs=tuple(map(Decimal, ("0.00", "0.40", "0.02", "3.1", "0.1"))),
)
_USED = UsageRecorded("kit:1", "tokens.input", Decimal(1000))
_PAGE = Page("2027-01", (MeterTotal("tokens.input", "token", Decimal(1000)),))
# what the kit calls each of these hooks with
_MADE: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "quote_adjustment": tuple(
        {"quote": Quote(kind, Decimal(amount), "USD")}
        for kind in ("fine_tune", "compress", "pipeline")
        for amount in ("0", "0.000001", "12.34", "100000")
    ),
    "job_finished": tuple(
        {"job": JobFinished("job-1", "fine_tune", state)}
        for state in ("succeeded", "failed", "cancelled")
    ),
    "usage_recorded": ({"usage": _USED}, {"usage": _USED}),  # the same event may come twice
    "console_panels": ({"page": _PAGE}, {"page": Page("2027-01")}),
}


def signatures(stand: Stand) -> Iterator[Check]:
    """Ends after one check where the plugin cannot be loaded."""
    try:
        implemented = [hook for hook in hooks() if stand.implements(hook)]
    except CallFailed as error:
        yield _check("loading", "failed", error.failure.message)
        return
    if not implemented:
        yield _check("hooks", "failed", "it implements none: mark its functions with @hookimpl")
        return
    yield _check("hooks", "passed", ", ".join(implemented))
    yield from _pairs(implemented)
    yield from _permissions(stand, implemented)
    declared: dict[str, tuple[Any, ...]] = {}
    for hook in declaring():
        if hook in implemented:
            outcome = stand.call(hook, {})
            if outcome.failure is not None:
                yield _check(hook, "failed", outcome.failure.message)
            else:
                declared[hook] = outcome.value
    for hook, answer in declared.items():
        yield _judged(hook, list(wrong_in(hook, declared, stand.manifest.permissions)), len(answer))
    yield from _samples(stand, implemented, declared)
    yield from _called(stand, implemented, declared)


def _pairs(implemented: list[str]) -> Iterator[Check]:
    for declares, acts in ACTS_ON.items():
        if declares in implemented and acts not in implemented:
            yield _check(declares, "failed", f"{acts} is not implemented, which acts on it")
    for acts in set(ACTS_ON.values()) & set(implemented):
        if not [d for d, a in ACTS_ON.items() if a == acts and d in implemented]:
            yield _check(acts, "failed", "nothing is declared that it could act on")


def _permissions(stand: Stand, implemented: list[str]) -> Iterator[Check]:
    for hook in implemented:
        needed = NEEDS.get(hook)
        if needed is not None and needed not in stand.manifest.permissions:
            said = f"it needs {needed}: ask for it under permissions in plugin.toml"
            yield _check(hook, "failed", said)


def _samples(stand: Stand, implemented: list[str], declared: Declared) -> Iterator[Check]:
    """Each thing that acts on files has a sample call, and each sample fits its hook."""
    site, package = stand.plugin.site, stand.plugin.package
    seen = set()
    for number, sample in enumerate(stand.manifest.samples):
        where = f"samples[{number}]"
        names = [name for name in hooks()[sample.hook].arguments if name != "work"]
        missing = [n for n in sample.inputs if site and not _inside(site / package, n)]
        if sample.hook not in implemented:
            yield _check(where, "failed", f"{sample.hook} is not implemented")
        elif sorted(sample.args) != sorted(names):
            yield _check(where, "failed", f"args: {sample.hook} takes {', '.join(names) or 'none'}")
        elif missing:
            yield _check(where, "failed", f"inputs: {missing[0]!r} is no file of {package}")
        seen.add((sample.hook, *sample.args.values()))
    for target in _targets(implemented, declared):
        if target not in seen:
            said = "plugin.toml has no [[samples]] that calls it"
            yield _check("/".join(target), "failed", said)


def _inside(package: Path, name: str) -> bool:
    path = (package / name).resolve()
    return path.is_relative_to(package.resolve()) and path.is_file()


def _targets(implemented: list[str], declared: Declared) -> Iterator[tuple[str, ...]]:
    for pipeline in declared.get("pipelines", ()):
        own = (step for step in pipeline.steps if not step.engine)  # the platform does the others
        yield from (("run_step", pipeline.name, step.name) for step in own)
    yield from (("read_dataset", each.name) for each in declared.get("dataset_readers", ()))
    if "prepare_dataset" in implemented:
        yield ("prepare_dataset",)
    for hook, kind in (
        ("training_methods", "training"),
        ("compression_methods", "compression"),
        ("evaluations", "evaluation"),
    ):
        yield from (("run_method", kind, each.name) for each in declared.get(hook, ()))


def _called(stand: Stand, implemented: list[str], declared: Declared) -> Iterator[Check]:
    calls = {hook: calls for hook, calls in _MADE.items() if hook in implemented}
    for policy in declared.get("campaign_policies", ()) if "campaign_prices" in implemented else ():
        calls["campaign_prices"] = (
            *calls.get("campaign_prices", ()),
            {"policy": policy.name, "campaign": _STEP},
        )
    for hook, arguments in calls.items():
        wrong: list[str] = []
        for args in arguments:
            first, second = stand.call(hook, args), stand.call(hook, args)
            failure = first.failure or second.failure
            if failure is not None:
                wrong.append(failure.message)
            elif first.value != second.value:
                wrong.append("asked twice, it answered twice differently")
            else:
                wrong += _WRONG.get(hook, _nothing)(first.value, args)
                if hook == "campaign_prices" and not wrong:
                    wrong += _other_paths(stand, first.value, args)
        yield _judged(hook, wrong, len(arguments))


def _adjustment(value: Any, args: Mapping[str, Any]) -> Iterator[str]:
    if value is None:
        return
    if value.currency != args["quote"].currency:
        yield f"it answers in {value.currency} to a quote in {args['quote'].currency}"
    elif args["quote"].amount + value.amount < 0:
        yield f"it takes {value.amount} off a quote of {args['quote'].amount}"
    if not value.reason.strip():
        yield "it gives no reason for the customer"


def _prices(value: Any, args: Mapping[str, Any]) -> Iterator[str]:
    paths = len(args["campaign"].own_prices)
    if len(value) != paths:
        yield f"{args['policy']}: {len(value)} prices for {paths} paths"
    elif min(value) < 0:
        yield f"{args['policy']}: a price below 0"


def _other_paths(stand: Stand, value: Any, args: Mapping[str, Any]) -> Iterator[str]:
    """A path is one future: a policy that looks at the others would know what nobody does."""
    turned = {**args, "campaign": paths_reversed(args["campaign"])}
    outcome = stand.call("campaign_prices", turned)
    if outcome.failure is not None:
        yield outcome.failure.message
    elif outcome.value != value[::-1]:
        yield f"{args['policy']}: the price on a path depends on other paths"


def _panels(value: Any, _: Mapping[str, Any]) -> Iterator[str]:
    for panel in value:
        if [row for row in panel.rows if len(row) != len(panel.columns)]:
            yield f"{panel.name}: a row has not as many cells as there are columns"


def _nothing(_: Any, __: Mapping[str, Any]) -> Iterator[str]:
    yield from ()


_WRONG: Mapping[str, Callable[[Any, Mapping[str, Any]], Iterator[str]]] = {
    "quote_adjustment": _adjustment,
    "campaign_prices": _prices,
    "console_panels": _panels,
}


def _judged(hook: str, wrong: list[str], count: int) -> Check:
    if wrong:
        return _check(hook, "failed", wrong[0])
    return _check(hook, "passed", f"{count} {'entry' if count == 1 else 'entries'}")


def _check(subject: str, verdict: Verdict, message: str) -> Check:
    return Check("signatures", subject, verdict, message)
