"""What becomes of a listing once the platform's own kit has judged its wheel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from plugins.kit.judging import JudgingFailed, JudgingTooLong, wheel_judge
from plugins.kit.report import Report
from tenants.kernel.errors import InvalidInput
from tenants.kernel.version import code_version
from tenants.marketplace.examining import declarations, stored_plugin
from tenants.marketplace.models import Listing
from tenants.marketplace.states import ListingState
from tenants.partners.host import ground
from tenants.partners.wheels import WheelLost, plugins_folder, wheel_read


@dataclass(frozen=True)
class Verdict:
    """Where a listing goes, and why; with the report and what the plugin declared."""

    state: ListingState
    reason: str = ""
    report: Report | None = None
    offers: dict[str, Any] | None = None


def listing_judge(row: Listing, told: Callable[[int, str], None]) -> Verdict:
    """Run the kit on its wheel. `told` hears how many checks there were, and the latest's subject.

    A listing is refused for what its wheel does; where it could not be judged, it waits again.
    """
    try:
        report = _report(row, told)
    except JudgingTooLong as error:
        return Verdict(ListingState.REFUSED, str(error))
    except (JudgingFailed, WheelLost) as error:
        return Verdict(ListingState.SUBMITTED, f"not checked: {error}")
    return verdict_of(row, report)


def verdict_of(row: Listing, report: Report) -> Verdict:
    """What a report on its wheel means; what it declares is asked where it passed."""
    if report.sha256 != row.wheel_sha256:
        return Verdict(ListingState.SUBMITTED, f"not checked: {report.sha256} came to the judge")
    if not report.judged:
        return Verdict(ListingState.SUBMITTED, f"not checked: {report.reason}", report)
    if not report.passed:
        return Verdict(ListingState.REFUSED, report.reason, report)
    try:
        plugin = stored_plugin(row.wheel_name, row.wheel_key, row.wheel_sha256)
        return Verdict(ListingState.CHECKED, "", report, declarations(plugin, row.tenant_id))
    except InvalidInput as error:
        return Verdict(ListingState.REFUSED, error.message, report)


def _report(row: Listing, told: Callable[[int, str], None]) -> Report:
    with tempfile.TemporaryDirectory(prefix="review-", dir=plugins_folder()) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the confined process has a user id of its own
        wheel = folder / Path(row.wheel_name).name
        wheel.write_bytes(wheel_read(row.wheel_key, row.wheel_sha256))
        (bench := folder / "bench").mkdir()
        return wheel_judge(
            wheel,
            bench,
            platform_version=code_version(),
            limit_s=settings.PLUGINS_CHECK_LIMIT_S,
            accept_risk=settings.PLUGINS_ACCEPT_RISK,
            runtime=ground().sandbox.runtime,
            told=told,
        )
