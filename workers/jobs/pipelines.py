"""A plugin's pipeline as a job: what of it is checked, and what it is taken to use.

A plugin claims what it used once it has used it, so its price is an estimate, not a firm bound: by
what the customer says (`units`), else by the size of its files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.partners.models import Release
from tenants.partners.selectors import installations_visible
from tenants.pricing.quotes import QuoteLine
from workers.assets.models import File
from workers.assets.selectors import file_get
from workers.jobs.placement import Needs
from workers.jobs.plugin_steps import files_check, model_of, steps_named

METER = "plugin.units"
NEEDED = "data.datasets"
BYTES_A_UNIT = 64  # of a file, where the customer does not say: about a row
MOST_TIMES = 4  # the estimate's upper bound
MAX_FILES = 16


def checked(
    tenant_id: str, given: Mapping[str, Any]
) -> tuple[dict[str, Any], Needs, tuple[QuoteLine, ...]]:
    """The complete spec, needs and quote lines. Raises InvalidInput, NotFound for a file."""
    plugin, name = str(given["plugin"]), str(given["pipeline"])
    installation = installations_visible().filter(tenant_id=tenant_id, plugin=plugin).first()
    if installation is None:
        raise InvalidInput(
            f"{plugin} is not enabled; enable it first (POST /v1/plugins)",
            param="plugin",
            code="plugin_not_enabled",
        )
    release = installation.release
    if release.suspended_at is not None:
        raise InvalidInput(
            f"{release} is suspended: {release.suspended_because}",
            param="plugin",
            code="plugin_suspended",
        )
    files = [file_get(str(file_id)) for file_id in _file_ids(given.get("file_ids") or ())]
    steps = _steps(release, name, files)
    spec = {
        "plugin": plugin,
        "version": release.version,
        "release_id": release.id,
        "installation_id": installation.id,
        "pipeline": name,
        "steps": steps,
        "file_ids": [file.id for file in files],
        "notice": release.manifest.get("notice", ""),
        **model_of(installation, steps[0], given.get("model")),
    }
    if given.get("engine_limit") is not None:
        spec["engine_limit"] = f"{given['engine_limit']:f}"
    device = "gpu" if any(step["queue"] == "gpu" for step in steps) else "cpu"
    return spec, Needs(device=device), _lines(release, files, given.get("units") or {})


def _steps(release: Release, name: str, files: Sequence[File]) -> list[dict[str, Any]]:
    """Of a pipeline that it declares, or of one of its other hooks."""
    known = {each["name"]: each["steps"] for each in release.offers.get("pipelines", ())}
    known = {other: [step] for other, step in steps_named(release, files)} | known
    if name not in known:
        has = ", ".join(sorted(known)) or "none"
        raise InvalidInput(f"{release} has no pipeline {name!r}; it has {has}", param="pipeline")
    found: list[dict[str, Any]] = known[name]
    files_check(found[0], files)
    return found


def _file_ids(given: Any) -> Sequence[Any]:
    if not isinstance(given, list | tuple) or len(given) > MAX_FILES:
        raise InvalidInput(f"files is a list of at most {MAX_FILES} ids", param="files")
    return given


def _lines(
    release: Release, files: Sequence[File], units: Mapping[str, Any]
) -> tuple[QuoteLine, ...]:
    """One line for each meter that the plugin counts."""
    meters = {each["name"]: each for each in release.offers.get("meters", ())}
    if unknown := sorted(set(units) - set(meters)):
        known = ", ".join(sorted(meters)) or "nothing"
        raise InvalidInput(f"{release} counts {known}, not {unknown[0]!r}", param="units")
    by_size = Decimal(max(1, sum(file.bytes for file in files) // BYTES_A_UNIT))
    return tuple(
        _line(release, meter, _units(units[name], name) if name in units else by_size)
        for name, meter in sorted(meters.items())
    )


def _line(release: Release, meter: Mapping[str, Any], expected: Decimal) -> QuoteLine:
    most = Decimal(meter["most_per_call"])
    expected = min(expected, most)
    return QuoteLine(
        meter=METER,
        low=Decimal(0),
        expected=expected,
        high=min(most, expected * MOST_TIMES),
        dimensions={"plugin": release.plugin, "sku": meter["name"]},
    )


def _units(given: Any, name: str) -> Decimal:
    try:
        units = Decimal(str(given))
    except InvalidOperation as error:
        raise InvalidInput(f"units.{name} is a number, not {given!r}", param="units") from error
    if not units.is_finite() or not 0 < units < Decimal(10) ** 12:
        raise InvalidInput(f"units.{name} is above 0 and under 10^12", param="units")
    return units
