"""A campaign's calls of a plugin's policy, inside its child: one a month, for all paths at once.

They are made by a thread beside, so that the campaign tells that it goes on, hears orders, and
outlives a policy that hangs, also one that runs in this very process. It is one thread for all
calls of a plugin: a confined process dies with the thread that started it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plugins.host.calls import PluginHost
from plugins.host.facts import Enabled, Failure, Outcome
from plugins.sdk.contracts import CampaignStep

HOOK = "campaign_prices"
CALL_S = 10.0  # of one month
POLICY_S = 900.0  # of all months of all a policy's simulations
TICK_S = 0.2
LATE_S = 35.0  # that a host may take besides to start a process, and to end it
KEPT = 100  # outcomes that are told together

Tell = Callable[[list[dict[str, Any]]], None]


class PolicyCalls:
    """One plugin's door. Once its call hung it is called no more: its thread is still there."""

    def __init__(
        self,
        host: PluginHost,
        release: Mapping[str, Any],
        tenant: str,
        *,
        beat: Callable[[], None],
        tell: Tell,
        call_s: float = CALL_S,
        policy_s: float = POLICY_S,
    ) -> None:
        """`beat` is called every `TICK_S` and may raise to stop; `tell` hears how calls went."""
        self._host, self._tenant = host, tenant
        self._plugin, self._version = release["plugin"], release["version"]
        granted = frozenset(release["permissions"])
        self._enabled = Enabled(self._plugin, release["settings"], granted)
        self._beat, self._tell = beat, tell
        self._call_s, self._left = call_s, policy_s
        self._late_s = LATE_S if release["site"] else 0.0  # a built-in has no process of its own
        self._hangs = False
        self._asked: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Sequence[Outcome] | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()
        self._untold: list[dict[str, Any]] = []

    def __call__(self, policy: str, step: CampaignStep) -> Outcome:
        """The outcome, whatever the plugin does. Raises what `beat` raises."""
        if self._hangs:
            return self._failed("timeout", "an earlier call has not come back")
        if self._left <= 0:
            return self._failed("timeout", "its policies took too long in all")
        began = time.monotonic()
        outcome = self._supervised({"policy": policy, "campaign": step})
        self._left -= time.monotonic() - began
        self._note(outcome)
        return outcome

    def flush(self) -> None:
        """Tell what was not told yet."""
        if self._untold:
            self._tell(self._untold)
            self._untold = []

    def _supervised(self, args: Mapping[str, Any]) -> Outcome:
        self._asked.put(args)
        deadline = time.monotonic() + self._call_s + self._late_s
        while True:
            try:
                answer = self._answers.get(timeout=TICK_S)
                break
            except queue.Empty:
                self._beat()
            if time.monotonic() > deadline:
                self._hangs = True
                return self._failed("timeout", f"no prices within {self._call_s:g} s")
        if isinstance(answer, BaseException):
            raise answer
        return next(iter(answer), self._failed("contract", f"it has no hook {HOOK}"))

    def _serve(self) -> None:
        """The thread beside: answer what is asked, one after another."""
        while True:
            args = self._asked.get()
            try:
                outcomes = self._host.call(
                    HOOK, args, tenant=self._tenant, enabled=[self._enabled], timeout=self._call_s
                )
                self._answers.put(outcomes)
            except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits
                self._answers.put(error)

    def _failed(self, kind: Any, message: str) -> Outcome:
        return Outcome(self._plugin, self._version, failure=Failure(kind, message))

    def _note(self, outcome: Outcome) -> None:
        failure = outcome.failure
        told = None if failure is None else [failure.kind, failure.message[:500]]
        self._untold.append({"wall_s": outcome.wall_s, "cpu_s": outcome.cpu_s, "failure": told})
        if failure is not None or len(self._untold) >= KEPT:
            self.flush()
