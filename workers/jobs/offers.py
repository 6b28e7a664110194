"""What worker classes are on offer now, and at what price. Works in any scope, or in none."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import connections

from tenants.kernel.scope import current_alias
from workers.jobs.placement import Offer, tpu_refusal

PRICE = Decimal("0.00001")  # of a class that nobody has priced yet
SPEED = {
    "cpu": 1.0,
    "gpu": 30.0,
    "tpu": 30.0,
}  # of a slot, until a base's profile was measured on it


def offers_now() -> list[Offer]:
    """The classes that settings name or that live workers bring, with free slots and price."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute("SELECT worker_class, free_slots, memory_bytes, price FROM worker_offers()")
        live = {row[0]: row[1:] for row in cursor.fetchall()}
    classes = dict.fromkeys([*settings.WORKER_CLASSES, *live])
    return [_offer(name, *live.get(name, (0, 0, None))) for name in classes]


def _offer(name: str, free: int, memory: int, price: Decimal | None) -> Offer:
    return Offer(
        worker_class=name,
        price=PRICE if price is None else price,
        speed=SPEED.get(name, 1.0),
        free_slots=int(free),
        memory_bytes=memory or None,
        unusable=tpu_refusal() if name == "tpu" and not free else "",
    )
