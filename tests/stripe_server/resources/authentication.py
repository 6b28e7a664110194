"""3D Secure: the bank asks the customer. https://docs.stripe.com/testing#regulatory-cards"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.resources.payments import intent_fail, intent_succeed
from tests.stripe_server.resources.setup_intents import setup_fail, setup_succeed
from tests.stripe_server.store import Object, Store

FAILED = "payment_intent_authentication_failure"


def authenticate(store: Store, intent_id: str, *, ok: bool) -> Object:
    """What the customer does where an intent `requires_action`."""
    kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
    intent = store.get(kind, intent_id)
    if intent["status"] != "requires_action":
        raise Refused(f"the intent is {intent['status']}: nothing is asked of the customer")
    if kind == "setup_intent":
        if ok:
            setup_succeed(store, intent)
        else:
            setup_fail(store, intent)
    elif ok:
        intent_succeed(store, intent)
    else:
        intent_fail(store, intent, "", code=FAILED)
    return intent
