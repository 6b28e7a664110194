"""The conformance kit in a partner's own tests: the fixture `conformance` is the wheel's report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.host.sandbox import Sandbox
from plugins.kit.building import wheel_build
from plugins.kit.conformance import conformance_check
from plugins.kit.report import Report, report_lines, report_write

_REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("breakwater")
    group.addoption("--platform", default="0.1.0", help="the platform's version to judge for")
    group.addoption("--conformance-report", type=Path, help="write the report (JSON) here")


@pytest.fixture(scope="session")
def conformance(pytestconfig: pytest.Config) -> Iterator[Report]:
    """Builds the wheel of the folder where pytest runs, and checks it at the sandbox here."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the confined process has a user id of its own
        wheel = wheel_build(pytestconfig.rootpath, folder)
        report = conformance_check(
            wheel,
            sandbox=Sandbox(folder),
            platform_version=pytestconfig.getoption("--platform"),
        )
        if (path := pytestconfig.getoption("--conformance-report")) is not None:
            path.write_text(report_write(report))
        pytestconfig.stash[_REPORT] = report
        yield report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if (report := config.stash.get(_REPORT, None)) is not None:
        terminalreporter.section("conformance")
        terminalreporter.line("\n".join(report_lines(report)))
