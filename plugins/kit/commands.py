"""`breakwater-plugin new NAME` and `breakwater-plugin check PATH`: the kit without the platform."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugins.host.errors import HostError
from plugins.host.sandbox import Sandbox
from plugins.kit.building import wheel_build
from plugins.kit.conformance import conformance_check
from plugins.kit.new import plugin_new
from plugins.kit.report import Report, report_lines, report_write

PLATFORM_VERSION = "0.1.0"  # of the platform that this kit comes with; a test compares them


def arguments_add(
    parser: argparse.ArgumentParser,
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """The two commands that need no platform; `manage.py plugin` adds its own."""
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a package from the template")
    new.add_argument("name", help="lower_case; also the package's and the wheel's")
    new.add_argument("--into", type=Path, default=Path(), help="the folder that it is made in")
    new.add_argument("--author", default="Your name")
    new.add_argument("--contact", default="you@example.org")
    new.add_argument("--licence", default="Apache-2.0", help="an SPDX expression")
    check = commands.add_parser("check", help="judge a wheel, or a folder that builds one")
    check.add_argument("path", type=Path)
    check.add_argument("--report", type=Path, help="write the report (JSON) here")
    return commands


def new(options: Any, platform_version: str) -> list[str]:
    """What to print. Raises HostError."""
    made = plugin_new(
        options.name,
        options.into,
        platform_version=platform_version,
        author=options.author,
        contact=options.contact,
        licence=options.licence,
    )
    folder = options.into / options.name
    return [
        *map(str, made),
        f"next: cd {folder}, and run pytest, where SDK and kit are installed (README.md)",
    ]


def check(options: Any, platform_version: str) -> Report:
    """Build where there is no wheel, check, and keep the report. Raises HostError."""
    with wheel_of(options.path) as wheel:
        return wheel_check(wheel, platform_version, options.report)


@contextmanager
def wheel_of(path: Path) -> Iterator[Path]:
    """The wheel at `path`, or one that its folder builds. Raises WheelRefused."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        yield wheel_build(path, Path(folder)) if path.is_dir() else path


def wheel_check(wheel: Path, platform_version: str, keep: Path | None) -> Report:
    """The report on a wheel at the sandbox here, written to `keep` too where that is given."""
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the confined process has a user id of its own
        report = conformance_check(
            wheel, sandbox=Sandbox(folder), platform_version=platform_version
        )
    if keep is not None:
        keep.write_text(report_write(report))
    return report


PROMISE = (
    "Confinement contains faults and casual access; it is no defence against bugs of the kernel."
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="breakwater-plugin", description=__doc__)
    parser.add_argument(
        "--platform", default=PLATFORM_VERSION, help="the platform's version to judge for"
    )
    arguments_add(parser)
    options = parser.parse_args(arguments)
    try:
        if options.command == "new":
            lines, code = new(options, options.platform), 0
        else:
            report = check(options, options.platform)
            lines, code = [*report_lines(report), PROMISE], int(not report.passed)
    except HostError as error:
        lines, code = [str(error)], 1
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
