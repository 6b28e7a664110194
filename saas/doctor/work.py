"""What does the work: relay, workers, web."""

from __future__ import annotations

import datetime as dt
import urllib.error
import urllib.request
from collections.abc import Iterator

from django.conf import settings

from saas.doctor.findings import Finding, failed, good, warning
from tenants.kernel.clock import database_now
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from workers.jobs.clocks import BOUND, clock_error, clocks_balance
from workers.jobs.fleet import queues, workers_alive

_LATE = dt.timedelta(minutes=1)
_DAY = dt.timedelta(days=1)


def outbox_check() -> Iterator[Finding]:
    """Events leave: none waits for long, and none fails again and again."""
    with system_scope():
        waiting = OutboxEvent.objects.filter(delivered_at__isnull=True)
        late = waiting.filter(available_at__lt=database_now() - _LATE).count()
        failing = waiting.filter(attempts__gt=0).order_by("id").first()
    if late:
        yield failed("outbox", f"{late} events wait for the relay", "start it: manage.py relay")
    elif failing is not None:
        yield warning(
            "outbox",
            f"{failing.name} {failing.event_id} failed {failing.attempts} times",
            "its last_error (operations, outbox) says why; it is tried again",
        )
    else:
        yield good("outbox", "no event is late")


def workers_check() -> Iterator[Finding]:
    """Workers live, and every queue with waiting jobs has one."""
    with system_scope():
        alive = list(workers_alive())
        waiting = [queue for queue in queues() if queue.waiting]
    if not alive:
        yield failed("workers", "none is alive", "run: make up")
        return
    served = {queue for worker in alive for queue in worker.queues}
    slots = sum(worker.slots for worker in alive)
    yield good("workers", f"{len(alive)} alive with {slots} slots for {', '.join(sorted(served))}")
    for queue in waiting:
        if queue.name not in served:
            yield failed(
                f"queue {queue.name}",
                f"{queue.waiting} jobs wait and no living worker serves it",
                f"start one: celery -A saas.celery worker -P threads -Q {queue.name}",
            )


def clocks_check() -> Iterator[Finding]:
    """Every slot-second of the last day is accounted for, once."""
    with system_scope():
        balances = list(clocks_balance(since=database_now() - _DAY))
    error = clock_error(balances)
    if error > BOUND:
        worst = max(balances, key=lambda balance: balance.error)
        yield warning(
            "clocks",
            f"slot time is off by {error:.2%} of the clock, most on slot {worst.slot} of "
            f"{worst.worker}: {worst.missing:.1f} s missing, {worst.doubled:.1f} s doubled",
            "a worker could not write its costs (see its log), or was killed",
        )
    else:
        yield good("clocks", f"{len(balances)} slots account for the day to {error:.3%}")


def web_check() -> Iterator[Finding]:
    """The web answers, and finds itself healthy."""
    url = f"{settings.BASE_URL}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 -- our own BASE_URL
            yield good("web", f"{url} answers {answer.status}")
    except urllib.error.HTTPError as error:
        yield failed("web", f"{url} answers {error.code}", "see the findings above")
    except OSError as error:
        yield failed("web", f"{url}: {getattr(error, 'reason', error)}", "run: make up")
