"""Tenants' training, job by job: on the wrong machine, alone, in small passes, at full price."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.workers.waste.world.scene import (
    FALLS,
    INTERRUPTIONS_PER_HOUR,
    RATES,
    RESTART_S,
    SECONDS,
    SPOT,
    Done,
    Key,
)
from workers.waste.facts import Passes, Sharing, Work

Generator = np.random.Generator
IN_TIME = 0.97  # of a stream's jobs


@dataclass(frozen=True)
class Stream:
    """A tenant's jobs: when each starts, how many updates it makes, by when it must be done.

    An update takes `token_s` for its tokens and `pack_s` for each pass of `pass_tokens`, at most
    `memory_tokens`; beside others, its passes cost `segment_s` each instead of `pack_s`.
    """

    id: str
    starts: Any
    updates: Any
    tokens: float  # of an update
    token_s: float
    pack_s: float
    pass_tokens: int
    memory_tokens: int
    segment_s: float
    patience_s: float  # beyond the run itself
    snapshot_s: float | None
    resource: str = "worker.gpu"
    small_factor: float | None = None  # times as long on the small machine; None: does not fit
    others: Any = None  # (starts, ends) of others' jobs that could share
    shares: bool = False
    spot: bool = False
    cause: str = ""

    def update_s(self, pass_tokens: int | None = None, pack_s: float | None = None) -> float:
        passes = math.ceil(self.tokens / (pass_tokens or self.pass_tokens))
        return self.tokens * self.token_s + passes * (self.pack_s if pack_s is None else pack_s)


@dataclass(frozen=True)
class Played:
    dollars: float
    slot_s: float
    in_time: float
    company: float


def play(stream: Stream, *, seed: int = 7) -> Played:
    """Run every job of the month: its passes, its company, its interruptions."""
    rng = np.random.default_rng([seed, len(stream.starts)])
    slow = (stream.small_factor or 1.0) if stream.resource == "worker.small-gpu" else 1.0
    own, beside = stream.update_s() * slow, stream.update_s(pack_s=stream.segment_s) * slow
    used, with_company, late = 0.0, 0.0, 0
    for start, updates in zip(stream.starts, stream.updates, strict=True):
        alone_s = updates * own
        together = overlap(stream.others, start, start + alone_s)
        with_company += together
        run = alone_s
        if stream.shares:
            run = alone_s - together * (1 - beside / own)
        if stream.spot:
            run = interrupted(rng, run, stream.snapshot_s)
        used += run
        late += run - updates * stream.update_s() > stream.patience_s
    rate = SPOT if stream.spot else RATES[stream.resource]
    company = with_company / max(sum(u * own for u in stream.updates), 1e-9)
    return Played(used * rate, used, 1 - late / len(stream.starts), company)


def overlap(others: Any, begin: float, end: float) -> float:
    """Seconds of [begin, end) in which at least one of the others runs."""
    if others is None:
        return 0.0
    starts, ends = others
    inside = (ends > begin) & (starts < end)
    reached, total = begin, 0.0
    for one, other in sorted(zip(starts[inside], ends[inside], strict=True)):
        total += max(0.0, min(other, end) - max(one, reached))
        reached = max(reached, min(other, end))
    return total


def interrupted(rng: Generator, run: float, snapshot_s: float | None) -> float:
    """How long a run takes when its machine is taken away at random."""
    done, spent = 0.0, 0.0
    while True:
        until = rng.exponential(3600 / INTERRUPTIONS_PER_HOUR)
        if done + until >= run:
            return spent + run - done
        reached = done + until
        done = 0.0 if snapshot_s is None else math.floor(reached / snapshot_s) * snapshot_s
        spent += until + RESTART_S
        if spent > 20 * run:
            return spent


FIXES = {
    "oversized_worker": lambda s: replace(s, resource="worker.small-gpu"),
    "small_passes": lambda s: replace(s, pass_tokens=s.memory_tokens),
    "lone_fine_tunes": lambda s: replace(s, shares=True),
    "patient_work": lambda s: replace(s, spot=True),
}


def possible(stream: Stream, kind: str) -> bool:
    if kind == "oversized_worker":
        return stream.resource == "worker.gpu" and stream.small_factor is not None
    if kind == "lone_fine_tunes":
        return not stream.shares
    return kind != "patient_work" or not stream.spot


class Streams:
    def __init__(self, generator: Generator, streams: list[Stream]) -> None:
        self.generator, self.streams = generator, streams

    def bill(self, done: Done) -> float:
        total = 0.0
        for stream in self.streams:
            played = stream
            for kind, fix in FIXES.items():
                if (kind, stream.id) in done:
                    played = fix(played)
            total += play(played).dollars
        return total

    def truth(self) -> dict[Key, float]:
        found: dict[Key, float] = {}
        for stream in self.streams:
            before = play(stream).dollars
            for kind, fix in FIXES.items():
                if possible(stream, kind):
                    after = play(fix(stream))
                    if before - after.dollars > FALLS and after.in_time >= IN_TIME:
                        found[kind, stream.id] = before - after.dollars
        return found

    def telemetry(self) -> dict[str, tuple[Any, ...]]:
        return {"work": tuple(self._seen(stream) for stream in self.streams)}

    def _seen(self, stream: Stream) -> Work:
        rng, played = self.generator, play(stream)
        elsewhere: dict[str, float] = {}
        if stream.small_factor is not None and stream.resource == "worker.gpu":
            measured = stream.small_factor * float(rng.normal(1, 0.04))
            longest = float(np.quantile(stream.updates, 0.95)) * stream.update_s()
            if longest * (measured - 1) <= stream.patience_s:
                elsewhere["worker.small-gpu"] = played.slot_s * measured
        noise = lambda: float(rng.normal(1, 0.02))  # noqa: E731
        sharing = passes = None
        if not stream.shares and stream.others is not None and rng.random() > 0.01:
            scale = noise()
            sharing = Sharing(
                stream.update_s() * scale,
                stream.update_s(pack_s=stream.segment_s) * scale * float(rng.normal(1, 0.005)),
                min(1.0, played.company * float(rng.normal(1, 0.03))),
                spread=0.005,
            )
        if rng.random() > 0.01:
            passes = Passes(
                stream.update_s() * (scale := noise()),
                stream.update_s(stream.memory_tokens) * scale,
                stream.memory_tokens,
            )
        return Work(
            id=stream.id,
            tenant_id=f"t-{stream.id}",
            kind="fine_tune",
            base="base",
            resource=stream.resource,
            jobs=len(stream.starts),
            slot_s=played.slot_s,
            on_demand=0.0 if stream.spot else 1.0,
            snapshot_s=None if stream.snapshot_s is None else stream.snapshot_s * noise(),
            patience_s=stream.patience_s if rng.random() > 0.01 else None,
            elsewhere=elsewhere,
            sharing=sharing,
            passes=passes,
        )


def streams(rng: Generator, count: int) -> list[Stream]:
    """One cause in most; each feature has its look-alike."""
    made = []
    for number in range(count):
        jobs = int(rng.integers(10, 60))
        starts = np.sort(rng.uniform(0, SECONDS - 86400, jobs))
        token_s = float(rng.uniform(0.0002, 0.001))
        fitting = int(rng.choice([8192, 16384]))
        causes = [rng.random() < share for share in (0.55, 0.4, 0.6, 0.4)]
        small, tiny, company, patient = causes
        tokens = float(rng.uniform(300, 3000) if company else rng.uniform(500, 8000))
        pass_tokens = int(rng.choice([128, 256])) if tiny else fitting
        pack_s = float(rng.uniform(0.05, 0.2))
        stream = Stream(
            id=f"stream{number}",
            starts=starts,
            updates=rng.integers(600, 9000, jobs),
            tokens=tokens,
            token_s=token_s,
            pack_s=pack_s,
            pass_tokens=pass_tokens,
            memory_tokens=fitting,
            segment_s=pack_s * float(rng.uniform(0.05, 0.3) if company else rng.uniform(0.99, 1.2)),
            patience_s=float(rng.uniform(12, 48) * 3600 if patient else rng.uniform(0, 30)),
            snapshot_s=float(rng.uniform(120, 1200)) if rng.random() < 0.85 else None,
            small_factor=float(rng.uniform(1.05, 1.9) if small else rng.uniform(2.8, 5))
            if rng.random() < 0.9
            else None,
            cause="+".join(
                name
                for name, there in zip(("small", "tiny", "company", "patient"), causes, strict=True)
                if there
            ),
        )
        if rng.random() < 0.9:
            others = np.sort(rng.uniform(0, SECONDS, int(rng.integers(100, 400))))
            stream = replace(stream, others=(others, others + rng.uniform(1800, 7200, len(others))))
        made.append(stream)
    return made
