"""Hints: "queue X has work", as Celery messages. Never which job: the claim decides that."""

from __future__ import annotations

from celery import current_app

from workers.jobs.hints import queues_waiting
from workers.jobs.kinds import REVIEW

WORK_AVAILABLE = "jobs.work_available"
RECONCILE = "control.reconcile"
STRIPE = "control.stripe"
PLUGINS = "control.plugins"
WEBHOOKS = "control.webhooks"
REVIEWS = "marketplace.review"
READ_DATASETS = "datasets.read"
READERS = "infer.cpu"  # the queue of those who read: no slot of training waits for it
EXPIRES_S = 30.0  # unread hints lapse; the periodic ones come anyway


def hint_send(queue: str) -> None:
    """Tell the queue's workers to look. Raises where the broker is away; the relay tries again."""
    current_app.send_task(
        WORK_AVAILABLE,
        args=[queue],
        queue=queue,
        expires=EXPIRES_S,
        retry=False,
        ignore_result=True,
    )


def reconcile_send() -> None:
    """Have the reconciler look now instead of at its next round."""
    current_app.send_task(RECONCILE, expires=EXPIRES_S, retry=False, ignore_result=True)


def reading_send() -> None:
    """Have a worker read the data that wait for it."""
    current_app.send_task(
        READ_DATASETS, queue=READERS, expires=EXPIRES_S, retry=False, ignore_result=True
    )


def stripe_send() -> None:
    """Have what waits for Stripe, or came from it, dealt with now."""
    current_app.send_task(STRIPE, expires=EXPIRES_S, retry=False, ignore_result=True)


def plugins_send() -> None:
    """Have plugins told now of what they wait to hear."""
    current_app.send_task(PLUGINS, expires=EXPIRES_S, retry=False, ignore_result=True)


def webhooks_send() -> None:
    """Have webhooks sent now that wait."""
    current_app.send_task(WEBHOOKS, expires=EXPIRES_S, retry=False, ignore_result=True)


def review_send() -> None:
    """Have wheels that wait for their review judged now."""
    current_app.send_task(REVIEWS, queue=REVIEW, expires=EXPIRES_S, retry=False, ignore_result=True)


def hints_repeat() -> int:
    """Hint again at every queue with jobs that may start; return how many hints were sent."""
    waiting = queues_waiting()
    for queue, count in waiting.items():
        for _ in range(count):
            hint_send(queue)
    return sum(waiting.values())
