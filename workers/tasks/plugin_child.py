"""What runs inside the child for a pipeline: the plugin host, and one step after another.

The plugin itself runs in the host's own sandbox, a process further down. Never imported by the
parent: it is the child's ENTRY. Django is not loaded here.
"""

from __future__ import annotations

import json
import queue
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugins.host.calls import PluginHost
from plugins.host.facts import NOT_CALLED, Enabled, Failure, Limits, Outcome
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from workers.jobs.plugin_hooks import hook_of, judged
from workers.tasks.channel import Channel, ChannelClosed, Frame
from workers.tasks.plugin_hosts import host_make

TICK_S = 0.2  # how often it tells that a step goes on, and hears orders
PARTS = 100  # of a step's progress
CPU_SPARE_S = 60
CUSTOMER, PLUGIN, PLATFORM = "customer", "plugin", "platform"
_FAILURES: Mapping[str, str] = {"refused": CUSTOMER, **dict.fromkeys(NOT_CALLED, PLATFORM)}


class Stopped(Exception):
    """An order came: "paused" or "cancelled"."""


@dataclass
class State:
    """What is there so far, and resumes: a folder of results, and `state.json`."""

    folder: Path
    step: int = 0  # the next one
    inner: Mapping[str, Any] | None = None  # the running step's own snapshot
    figures: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)  # of the latest step
    notices: list[str] = field(default_factory=list)

    @classmethod
    def opened(cls, folder: Path, resume: Mapping[str, str] | None) -> State:
        if resume is None:
            (folder / "files").mkdir(parents=True)
            return cls(folder)
        shutil.copytree(resume["path"], folder)
        (folder / "files").mkdir(exist_ok=True)  # a tar keeps no empty folder
        return cls(folder, **json.loads((folder / "state.json").read_text()))

    def write(self) -> None:
        kept = {name: value for name, value in self.__dict__.items() if name != "folder"}
        (self.folder / "state.json").write_text(json.dumps(kept))

    @property
    def results(self) -> Path:
        return self.folder / "files"


def run(channel: Channel, request: Frame) -> None:
    """Run the pipeline's steps that are left, and send the result."""
    pool = Pool()
    try:
        limits = Limits(cpu_s=int(sum(s["time_limit_s"] for s in request["steps"])) + CPU_SPARE_S)
        host = host_make(request["ground"], request, pool, limits)
        conversation = Conversation(channel, request, host)
        channel.send({"type": "result", **conversation.outcome()})
    finally:
        pool.close()


class Conversation:
    """The steps, and what is said with the parent meanwhile."""

    def __init__(self, channel: Channel, request: Frame, host: PluginHost) -> None:
        self._channel, self._request, self._host = channel, request, host
        self._steps = request["steps"]
        self._beats = 0
        self._scratch = Path(request["scratch"])
        self._state = State.opened(self._scratch / "state", request["resume"])

    def outcome(self) -> dict[str, Any]:
        try:
            while self._state.step < len(self._steps):
                failure = self._step(self._steps[self._state.step])
                if failure is not None:
                    return failure
        except Stopped as stop:
            return {"outcome": str(stop)}
        state = self._state
        return {
            "outcome": "succeeded",
            "artifact": str(state.results),
            "files": state.files,
            "figures": state.figures,
            "notices": state.notices,
        }

    def _step(self, step: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run one step; return what to end with where it failed."""
        number = self._state.step
        if step.get("engine"):
            return self._engine_step(step)
        results = self._scratch / f"results-{number}"
        results.mkdir()
        told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        order = WorkOrder(
            call_id=f"{self._request['key']}:{number}",
            results=results,
            inputs=self._inputs(),
            state=self._state.inner,
            progress=lambda done: told.put(("progress", done)),
            snapshot=lambda state: told.put(("snapshot", dict(state))),
        )
        outcome, stop = self._supervised(step, order, told)
        outcome = judged(step, outcome, results)
        if stop and outcome.failure is not None and outcome.failure.kind == "cancelled":
            raise Stopped(stop)
        self._tell_outcome(outcome)
        if outcome.failure is not None:
            kind = outcome.failure.kind
            return {
                "outcome": "failed",
                "failure": _FAILURES.get(kind, PLUGIN),
                "error": f"{step['name']}: {outcome.failure.message}",
                "code": f"plugin_{kind}",
            }
        self._keep(step, outcome, results)
        if stop and self._state.step < len(self._steps):
            raise Stopped(stop)
        return None

    def _engine_step(self, step: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the platform does: ask for it and stop, or go on with what came of it."""
        name, state = step["name"], self._state
        done = self._request["engine"].get(name)
        if done is None:
            self._ask(step)
            raise Stopped("paused")
        if done["state"] != "succeeded":
            said = (done["error"] or {}).get("message", done["state"])
            whose = CUSTOMER if done["is_customers"] else PLUGIN
            error = f"{name}: the job {done['job']}: {said}"
            return {"outcome": "failed", "failure": whose, "error": error, "code": "engine_step"}
        told = f"{name}.result.json"
        text = json.dumps({"job": done["job"], **done["result"]})
        (state.results / told).write_text(text)
        state.files = [*(each for each in state.files if each != told), told]
        state.step, state.inner = state.step + 1, None
        if state.step < len(self._steps):
            self._snapshot(0.0)
        return None

    def _ask(self, step: Mapping[str, Any]) -> None:
        """Have the parent submit the job that the step before described."""
        state, described = self._state, f"{step['name']}.json"
        path = state.results / described
        text = path.read_text() if described in state.files else "{}"
        files = {each: str(state.results / each) for each in state.files if each != described}
        self._channel.send(
            {
                "type": "engine",
                "step": step["name"],
                "kind": step["engine"],
                "spec": text,
                "files": files,
            }
        )
        self._answer()

    def _supervised(
        self, step: Mapping[str, Any], order: WorkOrder, told: queue.SimpleQueue[tuple[str, Any]]
    ) -> tuple[Outcome, str]:
        """Call the plugin in a thread; beat meanwhile, and pass orders on: the one that came."""
        ended: list[tuple[Outcome, ...]] = []
        errors: list[BaseException] = []
        thread = threading.Thread(target=self._call, args=(step, order, ended, errors))
        thread.start()
        stop, done = "", 0.0
        while thread.is_alive():
            thread.join(TICK_S)
            done = self._hear(told, done)
            command = self._beat(done)
            if command != "go" and not stop:
                stop = "paused" if command == "pause" else "cancelled"
                order.cancel.set()
        self._hear(told, done)
        if errors:
            raise errors[0]
        hook, plugin = hook_of(step, self._request["pipeline"])[0], self._request["plugin"]
        lacking = Outcome(plugin, "", failure=Failure("contract", f"it has no hook {hook}"))
        (outcome,) = ended[0] or (lacking,)
        return outcome, stop

    def _call(
        self,
        step: Mapping[str, Any],
        order: WorkOrder,
        ended: list[tuple[Outcome, ...]],
        errors: list[BaseException],
    ) -> None:
        request = self._request
        enabled = Enabled(request["plugin"], request["settings"], frozenset(request["permissions"]))
        hook, args = hook_of(step, request["pipeline"])
        try:
            ended.append(
                self._host.call(
                    hook,
                    args,
                    tenant=request["tenant"],
                    enabled=[enabled],
                    order=order,
                    timeout=float(step["time_limit_s"]),
                )
            )
        except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits
            errors.append(error)

    def _hear(self, told: queue.SimpleQueue[tuple[str, Any]], done: float) -> float:
        """What the plugin said meanwhile; return how far it is."""
        snapshot = None
        while not told.empty():
            kind, value = told.get()
            if kind == "progress":
                done = max(done, float(value))
            else:
                snapshot = value
        if snapshot is not None:
            self._state.inner = snapshot
            self._snapshot(done)
        return done

    def _beat(self, done: float) -> str:
        """Tell how far it is. The cursor counts on, so that a long step is seen to go on."""
        self._beats += 1
        self._channel.send(
            {
                "type": "beat",
                "key": self._request["key"],
                "step": self._position(done),
                "of": PARTS * len(self._steps),
                "cursor": {"beat": self._beats},
                "metrics": {},
            }
        )
        return str(self._answer()["command"])

    def _snapshot(self, done: float) -> None:
        self._state.write()
        self._channel.send(
            {
                "type": "snapshot",
                "key": self._request["key"],
                "step": self._position(done),
                "folder": str(self._state.folder),
            }
        )
        self._answer()

    def _position(self, done: float) -> int:
        return PARTS * self._state.step + min(int(done * PARTS), PARTS - 1)

    def _answer(self) -> Frame:
        frame = self._channel.receive()
        if frame is None:
            raise ChannelClosed("no answer")
        return frame

    def _tell_outcome(self, outcome: Outcome) -> None:
        failure = outcome.failure
        self._channel.send(
            {
                "type": "outcome",
                "wall_s": outcome.wall_s,
                "cpu_s": outcome.cpu_s,
                "level": outcome.level,
                "failure": None if failure is None else [failure.kind, failure.message],
            }
        )

    def _keep(self, step: Mapping[str, Any], outcome: Outcome, results: Path) -> None:
        """A step is done: its files are there for the next one, what it used is sold."""
        state, value = self._state, outcome.value
        number = state.step
        shutil.rmtree(state.results)
        results.rename(state.results)
        state.files = list(value.files)
        state.figures |= {f"{step['name']}.{name}": each for name, each in value.figures.items()}
        if value.notice and value.notice not in state.notices:
            state.notices.append(value.notice)
        claims = {claim.meter: str(claim.quantity) for claim in value.claims}
        self._channel.send(
            {
                "type": "used",
                "step": number,
                "wall_s": outcome.wall_s,
                "claims": claims,
                "keys": dict(outcome.usage_keys),
            }
        )
        state.step, state.inner = number + 1, None
        if state.step < len(self._steps):
            self._snapshot(0.0)

    def _inputs(self) -> dict[str, Path]:
        """The customer's files, and those of the step before."""
        given = {name: Path(path) for name, path in self._request["inputs"].items()}
        return given | {name: self._state.results / name for name in self._state.files}
