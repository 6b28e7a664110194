"""Classes of workers: how many slots their work needed, its waiting included; who lost work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db.models import Q, Sum

from tenants.costs.models import CostEntry
from workers.jobs.fleet import workers_alive
from workers.jobs.models import Attempt, Worker
from workers.waste.facts import Pool
from workers.waste.facts import Worker as Seen
from workers.waste.reading.window import Window, levels_of

WEEK_S = 7 * 86400.0


def pools_read(window: Window) -> list[Pool]:
    """Every class that has had workers for a week: less shows no week's peaks."""
    alive = list(workers_alive().filter(draining_at=None, drain_asked_at=None))
    found = []
    for name in sorted({worker.worker_class for worker in alive}):
        own = [worker for worker in alive if worker.worker_class == name]
        first = Worker.objects.filter(worker_class=name).order_by("started_at").first()
        begin = window.place(first.started_at) if first else window.seconds
        if window.seconds - begin >= WEEK_S:
            found.append(_pool(name, own, begin, window))
    return found


def _pool(name: str, alive: Sequence[Worker], begin: float, window: Window) -> Pool:
    attempts = list(
        Attempt.objects.filter(Q(ended_at=None) | Q(ended_at__gt=window.since))
        .filter(worker__worker_class=name)
        .select_related("job")
    )
    return Pool(
        resource=f"worker.{name}",
        slots=sum(worker.slots for worker in alive),
        workers=tuple(_workers(name, alive, attempts, window)),
        levels=tuple(levels_of(_wanted(attempts, window), begin, window.seconds)),
        unknown_s=begin,
    )


def _wanted(attempts: Sequence[Attempt], window: Window) -> Iterable[tuple[float, float]]:
    """The stretches in which each attempt waited for a slot or had one; a cohort has one."""
    shared: dict[str, tuple[float, float]] = {}
    for attempt in attempts:
        waiting = attempt.job.queued_at
        began = attempt.started_at
        if waiting is not None and attempt.number == 1:
            began = min(began, waiting)
        stretch = window.stretch(began, attempt.ended_at)
        if attempt.cohort_id is None:
            yield stretch
            continue
        before = shared.get(attempt.cohort_id, stretch)
        shared[attempt.cohort_id] = (min(before[0], stretch[0]), max(before[1], stretch[1]))
    yield from shared.values()


def _workers(
    name: str, alive: Sequence[Worker], attempts: Sequence[Attempt], window: Window
) -> Iterable[Seen]:
    again = _again_s(attempts)
    for worker in alive:
        own = [attempt for attempt in attempts if attempt.worker_id == worker.id]
        spans = [window.stretch(attempt.started_at, attempt.ended_at) for attempt in own]
        lost = [attempt for attempt in own if attempt.outcome == Attempt.Outcome.LOST]
        redone = [again.get((each.job_id, each.number), 0.0) for each in lost]
        yield Seen(
            id=worker.id,
            resource=f"worker.{name}",
            slots=worker.slots,
            work_s=sum(end - start for start, end in spans),
            lost=len(lost),
            redo_s=sum(redone) / len(redone) if redone else 0.0,
        )


def _again_s(attempts: Sequence[Attempt]) -> Mapping[tuple[str, int], float]:
    """Seconds of work done again after a lost attempt, by job and that attempt's number."""
    lost = {a.job_id for a in attempts if a.outcome == Attempt.Outcome.LOST}
    rows = CostEntry.objects.filter(job_id__in=lost, purpose=CostEntry.Purpose.RETRY)
    sums = rows.order_by().values_list("job_id", "attempt").annotate(all=Sum("quantity"))
    return {(job_id, (number or 1) - 1): float(total) for job_id, number, total in sums}
