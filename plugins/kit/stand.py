"""The test stand: one plugin in a host of its own, confined as partners' plugins are."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugins.host.breaker import Breaker
from plugins.host.calls import PluginHost
from plugins.host.catalog import Catalog, Plugin
from plugins.host.facts import Enabled, Failure, Outcome
from plugins.host.isolated import Isolated
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from plugins.sdk.contracts import StepResult
from plugins.sdk.manifest import Sample

SAMPLE_S = 60.0  # a sample is small; a step that says less gets less
BAD_FILES: Mapping[str, bytes] = {"empty": b"", "no text": b"\xff\x00\xfe not what it should be\n"}


@dataclass
class Run:
    """What one call of a sample did. `files` are SHA-256 sums by name."""

    outcome: Outcome
    files: Mapping[str, str]
    wall_s: float
    beats: int = 0
    snapshots: Sequence[Mapping[str, Any]] = ()
    stopped_s: float | None = None  # from the wish to stop to the end

    @property
    def failure(self) -> Failure | None:
        return self.outcome.failure

    @property
    def result(self) -> StepResult:
        found: StepResult = self.outcome.value
        return found

    def differs(self, other: Run) -> str:
        """What another run gave that this one did not; empty where they are the same."""
        if self.failure or other.failure:
            failure = other.failure or self.failure
            return f"it failed: {failure.message}" if failure else ""
        pairs = (
            ("figures", self.result.figures, other.result.figures),
            ("claims", self.result.claims, other.result.claims),
            ("files", self.files, other.files),
        )
        return next((f"{name}: {a} and {b}" for name, a, b in pairs if a != b), "")


@dataclass
class _Heard:
    """The order's ear: counts beats and snapshots, and wishes the step to stop after some."""

    stop_after_beats: int | None = None
    stop_after_snapshots: int | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    beats: int = 0
    snapshots: list[Mapping[str, Any]] = field(default_factory=list)
    asked_at: float | None = None

    def progress(self, _done: float) -> None:
        self.beats += 1
        self._judge(self.beats, self.stop_after_beats)

    def snapshot(self, state: Mapping[str, Any]) -> None:
        self.snapshots.append(state)
        self._judge(len(self.snapshots), self.stop_after_snapshots)

    def _judge(self, count: int, most: int | None) -> None:
        if most is not None and count >= most and self.asked_at is None:
            self.asked_at = time.monotonic()
            self.cancel.set()


class Stand:
    """Calls the plugin for made-up tenants, with every permission that it asks for."""

    def __init__(
        self, plugin: Plugin, sandbox: Sandbox, pool: Pool, lent: Path, folder: Path
    ) -> None:
        self.plugin = plugin
        self.manifest = plugin.manifest
        self.limits = sandbox.limits
        self._isolated = Isolated(sandbox, pool, lent)
        breaker = Breaker(failures=1_000_000)  # each failure is a finding, not a reason to pause
        self._host = PluginHost(Catalog((plugin,)), self._isolated, breaker)
        self._folder = folder

    def implements(self, hook: str) -> bool:
        """Raises CallFailed where the plugin cannot be loaded."""
        return self._isolated.implements(self.plugin, hook, "first")

    def call(self, hook: str, args: Mapping[str, Any]) -> Outcome:
        """A hook without files. It must be implemented."""
        enabled = Enabled(self.manifest.name, {}, frozenset(self.manifest.permissions))
        (outcome,) = self._host.call(hook, args, tenant="first", enabled=[enabled])
        return outcome

    def run(
        self,
        sample: Sample,
        *,
        call_id: str = "call",
        tenant: str = "first",
        state: Mapping[str, Any] | None = None,
        stop_after_beats: int | None = None,
        stop_after_snapshots: int | None = None,
        bad_file: bytes | None = None,
        timeout: float = SAMPLE_S,
    ) -> Run:
        heard = _Heard(stop_after_beats, stop_after_snapshots)
        results = Path(tempfile.mkdtemp(prefix="results-", dir=self._folder))
        order = WorkOrder(
            call_id,
            results,
            self._inputs(sample, results, bad_file),
            state,
            heard.cancel,
            heard.progress,
            heard.snapshot,
        )
        permissions = frozenset(self.manifest.permissions)
        enabled = Enabled(self.manifest.name, sample.settings, permissions)
        began = time.monotonic()
        (outcome,) = self._host.call(
            sample.hook,
            sample.args,
            tenant=tenant,
            enabled=[enabled],
            order=order,
            timeout=timeout,
        )
        ended = time.monotonic()
        named = outcome.value.files if isinstance(outcome.value, StepResult) else ()
        sums = {n: hashlib.sha256((results / n).read_bytes()).hexdigest() for n in named}
        asked = None if heard.asked_at is None else ended - heard.asked_at
        return Run(outcome, sums, ended - began, heard.beats, heard.snapshots, asked)

    def _inputs(self, sample: Sample, folder: Path, bad_file: bytes | None) -> dict[str, Path]:
        assert self.plugin.site is not None  # noqa: S101 - it was installed
        package = self.plugin.site / self.plugin.package
        inputs = {f"input-{i}": package / name for i, name in enumerate(sample.inputs)}
        if bad_file is None:
            return inputs
        made = folder / "bad"
        made.mkdir()
        for key, path in inputs.items():
            inputs[key] = made / path.name
            inputs[key].write_bytes(bad_file)
        return inputs
