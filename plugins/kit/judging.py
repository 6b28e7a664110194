"""`wheel_judge`: the kit in a process of its own, which its time and its memory can cost.

What reads a stranger's wheel (unpacking, parsing) may die of it; whoever asks stays alive and is
told how far it is. `python -P -m plugins.kit.judging WHEEL REPORT PLATFORM FOLDER [--accept-risk]`
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import plugins
from plugins.host.errors import HostError
from plugins.host.runtime import Runtime
from plugins.host.sandbox import Sandbox
from plugins.kit.conformance import conformance_check
from plugins.kit.report import Check, Report, report_read, report_write
from plugins.sdk.errors import ContractError

MOST_MEMORY = 4 * 1024**3  # bytes of address space of the kit's own process
GRACE_S = 10.0  # between TERM and KILL: it ends its children first


class JudgingFailed(HostError):
    """No report: the kit ended in the middle, and it is not known whose fault that is."""


class JudgingTooLong(JudgingFailed):
    """No report within the time limit."""


def wheel_judge(
    wheel: Path,
    folder: Path,
    *,
    platform_version: str,
    limit_s: float,
    accept_risk: bool = False,
    runtime: Runtime | None = None,
    told: Callable[[int, str], None] = lambda _count, _subject: None,
) -> Report:
    """The report on `wheel`; `folder` is empty, and ordinary user ids reach it.

    `told` hears, after each check, how many there were and what was looked at; what it raises ends
    the judging. `runtime`: one that is made already. Raises JudgingFailed, JudgingTooLong.
    """
    report = folder / "report.json"
    arguments = [str(wheel), str(report), platform_version, str(folder)]
    arguments += ["--accept-risk"] if accept_risk else []
    arguments += ["--runtime", json.dumps(runtime.to_json())] if runtime else []
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "plugins.kit.judging", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(folder),
        cwd=folder,
        start_new_session=True,
        text=True,
    )
    late = threading.Event()
    timer = threading.Timer(limit_s, _stop, (process, late))
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    timer.start()
    reader.start()
    try:
        _hear(process.stdout or (), told)
        code = process.wait()
    finally:
        timer.cancel()
        _stop(process, threading.Event())
        reader.join(timeout=1.0)
    if late.is_set():
        raise JudgingTooLong(f"its checks took longer than {limit_s:.0f} s")
    if code != 0:
        raise JudgingFailed(f"the kit ended with {code}: {''.join(errors)[-1000:].strip()}")
    try:
        return report_read(report.read_text())
    except (OSError, ContractError) as error:
        raise JudgingFailed(f"the kit left no report: {error}") from error


def _hear(lines: Iterable[str], told: Callable[[int, str], None]) -> None:
    for count, line in enumerate(lines, 1):
        told(count, str(json.loads(line)))


def _stop(process: subprocess.Popen[str], late: threading.Event) -> None:
    if process.poll() is not None:
        return
    late.set()
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of ours, but where Python finds us."""
    root = str(Path(plugins.__path__[0]).parent)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": root, "HOME": str(folder), "TMPDIR": str(folder)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="plugins.kit.judging", description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("platform")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accept-risk", action="store_true")
    parser.add_argument("--runtime", type=json.loads)
    given = parser.parse_args()
    made = Runtime.from_json(given.runtime) if given.runtime else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its children's pool is closed first
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    report = conformance_check(
        given.wheel,
        sandbox=Sandbox(given.folder, accept_risk=given.accept_risk, made=made),
        platform_version=given.platform,
        told=_tell,
    )
    given.report.write_text(report_write(report))
    return 0


def _tell(check: Check) -> None:
    sys.stdout.write(json.dumps(f"{check.group}: {check.subject}") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
