"""Looking through findings."""

from __future__ import annotations

from collections.abc import Iterable

from saas.doctor.findings import Finding, Health


def healths(findings: Iterable[Finding]) -> dict[str, Health]:
    """What was examined → how it is."""
    return {finding.about: finding.health for finding in findings}


def the_only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding
