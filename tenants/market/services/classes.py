"""Like for like: which class a rival's product, and an offer of ours, competes in."""

from __future__ import annotations

import re

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import atomic
from tenants.market.locks import market_locked
from tenants.market.models import MarketOffer, MarketProduct
from tenants.market.permissions import operators_only
from tenants.market.selectors import product_get

_CLASS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST = 40


def product_classify(*, actor: Actor, product_id: str, model_class: str) -> MarketProduct:
    """Say what a product competes with; empty takes it out of every comparison.

    Raises PermissionDenied, NotFound, InvalidInput.
    """
    operators_only(actor)
    if model_class:
        _check(model_class)
    with atomic():
        market_locked()  # a file that is being read would write the old class back
        product = product_get(product_id)
        product.model_class = model_class
        product.save(update_fields=["model_class"])
        audit_record(
            actor=actor,
            action="market.classify",
            target=product.id,
            data={"model_class": model_class},
        )
    return product


def offer_set(*, actor: Actor, base: str, model_class: str) -> MarketOffer:
    """Say which class a base model of ours competes in; empty: it is compared with nothing.

    Raises PermissionDenied, InvalidInput.
    """
    operators_only(actor)
    if not 1 <= len(base) <= 200:
        raise InvalidInput("name a base model", param="base")
    if model_class:
        _check(model_class)
    offer = MarketOffer(base=base, model_class=model_class)
    with atomic():
        if model_class:
            offer.save()
        else:
            MarketOffer.objects.filter(base=base).delete()
        audit_record(
            actor=actor, action="market.offer", target=base, data={"model_class": model_class}
        )
    return offer


def _check(model_class: str) -> None:
    if len(model_class) > LONGEST or not _CLASS.fullmatch(model_class):
        raise InvalidInput(
            f"a class is at most {LONGEST} lower-case letters, digits and single hyphens, such as "
            "frontier or small-cn",
            param="model_class",
        )
