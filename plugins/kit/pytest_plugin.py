"""The conformance kit in a partner's own tests: the fixture `conformance` is the wheel's report."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.kit.commands import PLATFORM_VERSION, wheel_check, wheel_of
from plugins.kit.report import Report, report_lines

_REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("breakwater")
    said = "the platform's version to judge for"
    group.addoption("--platform", default=PLATFORM_VERSION, help=said)
    group.addoption("--conformance-report", type=Path, help="write the report (JSON) here")


@pytest.fixture(scope="session")
def conformance(pytestconfig: pytest.Config) -> Report:
    """Builds the wheel of the folder where pytest runs, and checks it at the sandbox here."""
    option = pytestconfig.getoption
    with wheel_of(pytestconfig.rootpath) as wheel:
        report = wheel_check(wheel, option("--platform"), option("--conformance-report"))
    pytestconfig.stash[_REPORT] = report
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if (report := config.stash.get(_REPORT, None)) is not None:
        terminalreporter.section("conformance")
        terminalreporter.line("\n".join(report_lines(report)))
