"""Celery: queues, periodic work, and how little depends on it.

`celery -A saas.celery worker -P threads`
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saas.settings")

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings
from kombu.entity import Exchange, Queue

from workers.jobs.kinds import CONTROL, QUEUES, REVIEW

_ON_RABBITMQ = settings.BROKER_URL.startswith(("amqp:", "amqps:", "pyamqp:"))
_QUORUM = {"x-queue-type": "quorum"} if _ON_RABBITMQ else None
_EXCHANGE = Exchange("breakwater", type="direct")

app = Celery("breakwater")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # the broker comes back; until then the database waits
    broker_transport_options={}
    if _ON_RABBITMQ
    else {"socket_timeout": 10, "socket_connect_timeout": 3},
    imports=["workers.tasks.tasks"],
    task_queues=[
        Queue(name, _EXCHANGE, routing_key=name, queue_arguments=_QUORUM)
        for name in (*QUEUES, CONTROL, REVIEW)
    ],
    task_default_queue=CONTROL,
    task_create_missing_queues=False,
    task_ignore_result=True,
    task_publish_retry=False,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,  # needs queues that RabbitMQ 4 no longer has
    worker_cancel_long_running_tasks_on_connection_loss=False,
    timezone="UTC",
)


def _every(seconds: float) -> dict[str, object]:
    return {"schedule": seconds, "options": {"queue": CONTROL, "expires": max(2 * seconds, 5.0)}}


app.conf.beat_schedule = {
    name: {"task": name, **_every(seconds)}
    for name, seconds in {
        "control.reap": settings.REAP_EVERY_S,
        "control.hint": settings.HINT_EVERY_S,
        "control.reconcile": settings.RECONCILE_EVERY_S,
        "control.sweep": settings.SWEEP_EVERY_S,
        "control.orphans": settings.ORPHANS_EVERY_S,
        "control.meter": settings.METER_EVERY_S,
        "control.plugins": settings.PLUGINS_EVERY_S,
        "control.webhooks": settings.WEBHOOKS_EVERY_S,
        "control.measure": settings.MEASURE_EVERY_S,
        "control.waste": settings.WASTE_EVERY_S,
        "control.partitions": settings.PARTITIONS_EVERY_S,
        "control.billing": settings.BILLING_EVERY_S,
        "control.prices": settings.PRICES_EVERY_S,
        "control.floors": settings.FLOORS_EVERY_S,
        "control.stripe": settings.STRIPE_SEND_EVERY_S,
        "control.stripe_reconcile": settings.STRIPE_RECONCILE_EVERY_S,
    }.items()
}


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Django's LOGGING stands; Celery sets up none of its own."""
