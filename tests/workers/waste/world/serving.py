"""Deployments that are called, forgotten, kept warm or shared; replicas held by an autoscaler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.workers.waste.world.scene import FALLS, HOURS, RATES, SECONDS, Done, Key
from workers.waste.facts import Compressed, Deployment, Level, Target
from workers.waste.findings import exact

Generator = np.random.Generator
USUAL_S = 900.0  # the platform's own setting
SETTINGS_S = (120.0, 300.0, 900.0, 3600.0, 4 * 3600.0)
ALWAYS = np.arange(0.0, SECONDS, 30.0)  # calls that never cease
COLD_STARTS = 60  # a month, two a day: what callers put up with
UNSERVED = 0.003  # of the tokens that may come late


@dataclass
class Caller:
    """One deployment as it really is."""

    id: str
    arrivals: Any  # moments of requests
    sleep_after_s: float
    rent: float = 0.0  # for an hour awake


@dataclass
class Model:
    """A target with its callers. `need` is replicas' worth of tokens by hour while awake."""

    id: str
    resource: str
    load_s: float
    callers: list[Caller]
    cause: str = ""  # what was done to it; "" or a disguise where nothing leaks
    need: Any = None
    clients_slow: float = 1.0  # streams held open, as a multiple of what tokens ask for
    limit: int = 1
    smaller: tuple[float, float] | None = None  # time of the dense model's, cost of making
    quality_holds: bool = True
    seen: dict[str, Any] = field(default_factory=dict)


Walk = tuple[float, int, dict[str, float]]  # seconds awake, cold starts, ready seconds by caller


def awake_and_waits(model: Model, sleep: dict[str, float]) -> Walk:
    """Walk through the month's requests."""
    if len(model.callers) == 1:
        return _of_one(model.callers[0], sleep)
    merged = [(t, index) for index, c in enumerate(model.callers) for t in c.arrivals]
    merged.sort()
    until, seconds, cold = -1.0, 0.0, 0
    own_until = [-1.0] * len(model.callers)
    own = [0.0] * len(model.callers)
    for moment, index in merged:
        lasts = min(moment + sleep[model.callers[index].id], SECONDS)
        if moment > until:
            cold += 1
            seconds += lasts - moment
            until = lasts
        elif lasts > until:
            seconds += lasts - until
            until = lasts
        own[index] += lasts - max(moment, own_until[index]) if lasts > own_until[index] else 0.0
        own_until[index] = max(own_until[index], lasts)
    return seconds, cold, {c.id: own[i] for i, c in enumerate(model.callers)}


def _of_one(caller: Caller, sleep: dict[str, float]) -> Walk:
    """The same, where nobody else keeps it awake: each pause is slept through, or waited out."""
    if not len(caller.arrivals):
        return 0.0, 0, {caller.id: 0.0}
    pauses = np.diff(np.append(caller.arrivals, SECONDS))
    seconds = float(np.minimum(pauses, sleep[caller.id]).sum())
    cold = 1 + int((pauses[:-1] > sleep[caller.id]).sum())
    return seconds, cold, {caller.id: seconds}


def replicas(model: Model, limit: int, time: float) -> tuple[Any, float]:
    """What an autoscaler that follows open streams holds by hour, and the tokens not served."""
    if model.need is None:
        return np.ones(HOURS), 0.0
    need = model.need * time
    held = np.clip(np.ceil(need * model.clients_slow), 1, limit)
    return held, float(np.maximum(need - held, 0).sum() / max(need.sum(), 1e-9))


def enough(need: Any) -> int:
    """The least number of replicas that leaves hardly anything unserved."""
    return next(n for n in range(1, 100) if np.maximum(need - n, 0).sum() < UNSERVED * need.sum())


class Serving:
    def __init__(self, generator: Generator, models: list[Model]) -> None:
        self.generator, self.models = generator, models

    def bill(self, done: Done) -> float:
        return sum(self._bill(model, done) for model in self.models)

    def _bill(self, model: Model, done: Done) -> float:
        sleep = {c.id: c.sleep_after_s for c in model.callers}
        if slept := done.get(("idle_deployment", model.id)):
            sleep.update(slept.arguments["sleep_after_s"])
        resized = done.get(("spare_replicas", model.id))
        limit = resized.arguments["max_replicas"] if resized else model.limit
        smaller = ("dense_models", model.id) in done and model.smaller is not None
        return self._month(
            model, sleep, limit, model.smaller[0] if smaller and model.smaller else 1.0
        )

    def _month(self, model: Model, sleep: dict[str, float], limit: int, time: float) -> float:
        seconds, cold, own = awake_and_waits(model, sleep)
        held, _ = replicas(model, limit, time)
        rents = sum(c.rent * own[c.id] / 3600 for c in model.callers)
        if model.resource == "worker.owned":
            return -rents
        return RATES[model.resource] * (seconds * held.mean() + cold * model.load_s) - rents

    def truth(self) -> dict[Key, float]:
        found: dict[Key, float] = {}
        for model in self.models:
            found |= self._sleep_truth(model) | self._size_truth(model)
        return found

    def _sleep_truth(self, model: Model) -> dict[Key, float]:
        """With shorter settings that a person would try: who calls still hardly waits."""
        before = {c.id: c.sleep_after_s for c in model.callers}
        month = self._month(model, before, model.limit, 1.0)
        best = 0.0
        for setting in SETTINGS_S:
            after = {name: min(seconds, setting) for name, seconds in before.items()}
            _, cold, _ = awake_and_waits(model, after)
            if cold <= COLD_STARTS:
                best = max(best, month - self._month(model, after, model.limit, 1.0))
        return {("idle_deployment", model.id): best} if best > FALLS else {}

    def _size_truth(self, model: Model) -> dict[Key, float]:
        if model.need is None:
            return {}
        sleep = {c.id: c.sleep_after_s for c in model.callers}
        month = self._month(model, sleep, model.limit, 1.0)
        found: dict[Key, float] = {}
        if (limit := enough(model.need)) < model.limit:
            saved = month - self._month(model, sleep, limit, 1.0)
            if saved > FALLS:
                found["spare_replicas", model.id] = saved
        if model.smaller is not None and model.quality_holds:
            time, making = model.smaller
            saved = month - self._month(model, sleep, model.limit, time)
            if saved - making / 6 > FALLS:
                found["dense_models", model.id] = saved
        return found

    def telemetry(self) -> dict[str, tuple[Any, ...]]:
        return {"targets": tuple(self._seen(model) for model in self.models)}

    def _seen(self, model: Model) -> Target:
        rng = self.generator
        out = [rng.uniform(0, SECONDS - 7200) for _ in range(rng.poisson(0.7))]  # outages
        deployments = tuple(
            Deployment(
                id=c.id,
                tenant_id=f"t-{c.id}",
                model=c.id,
                sleep_after_s=c.sleep_after_s,
                uses=self._uses(c, out),
                rent=exact(round(c.rent, 6)),
            )
            for c in model.callers
        )  # fmt: skip
        levels: tuple[Level, ...] = ()
        holding: tuple[Level, ...] = ()
        unknown = 0.0
        if model.need is not None:
            known = rng.random(HOURS) > 0.004
            measured = model.need * rng.normal(1, 0.03) * (1 + rng.normal(0, 0.01, HOURS))
            levels = tuple(Level(float(n), 3600.0) for n in measured[known])
            unknown = float((~known).sum() * 3600)
            counted = np.unique(replicas(model, model.limit, 1.0)[0][known], return_counts=True)
            holding = tuple(Level(float(n), c * 3600.0) for n, c in zip(*counted, strict=True))
        compressed: tuple[Compressed, ...] = ()
        if model.smaller is not None and model.quality_holds:
            time, making = model.smaller
            compressed = (Compressed(time * rng.normal(1, 0.03), exact(making)),)
        known_load = rng.random() > 0.01
        return Target(
            id=model.id,
            resource=model.resource,
            deployments=deployments,
            load_s=model.load_s * rng.normal(1, 0.1) if known_load else None,
            levels=levels,
            unknown_s=unknown,
            holding=holding,
            limit=model.limit,
            compressed=compressed,
        )

    def _uses(self, caller: Caller, out: list[float]) -> tuple[tuple[float, float], ...]:
        """By the minute; some requests were never logged; outages are known, and count as use."""
        rng = self.generator
        logged = caller.arrivals[rng.random(len(caller.arrivals)) > 0.02]
        spans = [(m * 60.0, m * 60.0 + 60) for m in np.unique(logged // 60)]
        spans += [(start, start + 7200) for start in out]
        joined: list[tuple[float, float]] = []
        for begin, end in sorted(spans):
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((begin, end))
        return tuple(joined)


def poisson(rng: Generator, per_hour: float, begin: float = 0.0, end: float = SECONDS) -> Any:
    count = rng.poisson(per_hour * (end - begin) / 3600)
    return np.sort(rng.uniform(begin, end, count))


def sleeping_models(rng: Generator, count: int) -> list[Model]:
    """Half forgot their deployment, half only look so."""
    made = []
    for number in range(count):
        name = f"sleep{number}"
        kind = ("forgotten", "sparse", "busy", "paid", "shared", "owned")[
            rng.choice(6, p=[0.3, 0.2, 0.15, 0.15, 0.1, 0.1])
        ]
        resource = "worker.owned" if kind == "owned" else "worker.gpu"
        load = float(rng.uniform(15, 60))
        long = float(rng.choice([6, 12, 24, 48, 168])) * 3600
        if kind == "forgotten":  # called for some days, then never again; a long setting
            quiet = rng.uniform(1, 15) * 86400
            calls = poisson(rng, rng.uniform(1, 30), 0, quiet)
            callers = [Caller(f"{name}-a", calls, long)]
        elif kind == "sparse":  # called now and then, kept awake through it all
            callers = [Caller(f"{name}-a", poisson(rng, rng.uniform(0.005, 0.05)), long)]
        elif kind == "busy":  # a long setting that changes nothing: it is called all the time
            callers = [Caller(f"{name}-a", poisson(rng, rng.uniform(60, 200)), long)]
        elif kind == "paid":  # a warm standby: hardly called, but its tenant pays for each hour
            rent = float(rng.uniform(1.15, 1.8)) * 2.50
            callers = [Caller(f"{name}-a", poisson(rng, 0.05), long, rent)]
        elif (
            kind == "shared"
        ):  # forgotten, but the replica is another's too, who calls all the time
            callers = [
                Caller(f"{name}-a", poisson(rng, 2, 0, 5 * 86400), long),
                Caller(f"{name}-b", poisson(rng, rng.uniform(60, 120)), USUAL_S),
            ]
        else:  # on machines that are paid anyway
            callers = [Caller(f"{name}-a", poisson(rng, 2, 0, 5 * 86400), long)]
        made.append(Model(name, resource, load, callers, cause=kind))
    return made


def busy_models(rng: Generator, count: int) -> list[Model]:
    """Always called; held replicas follow open streams. Some hold too many, some are dense."""
    made = []
    hours = np.arange(HOURS)
    for number in range(count):
        name = f"size{number}"
        day = 1 + 0.4 * np.sin(2 * np.pi * hours / 24 + rng.uniform(0, 6))
        need = np.clip(rng.uniform(0.3, 4) * day * (1 + rng.normal(0, 0.05, HOURS)), 0.05, None)
        kind = ("slow", "fit", "burst")[rng.choice(3, p=[0.45, 0.35, 0.2])]
        slow = 1.0
        if kind == "burst":  # a promotion of some hours a week really needs the replicas
            for start in range(int(rng.integers(0, 100)), HOURS, 168):
                need[start : start + int(rng.integers(8, 20))] *= float(rng.uniform(2, 3))
        limit = enough(need)
        if kind == "slow":  # clients that read slowly hold streams open
            slow = float(rng.uniform(1.8, 4))
            limit = max(2, round(limit * float(rng.uniform(2, 3))))
        smaller, holds = None, True
        if rng.random() < 0.7:
            smaller = (float(rng.uniform(0.35, 0.85)), float(rng.lognormal(4, 0.8)))
            holds = bool(rng.random() < 0.75)
        callers = [Caller(f"{name}-a", ALWAYS, USUAL_S)]
        made.append(
            Model(name, "worker.gpu", 30.0, callers, kind, need, slow, limit, smaller, holds)
        )
    return made
