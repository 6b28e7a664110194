"""Idempotency keys: the same answer again for a day. https://docs.stripe.com/api/idempotent_requests

Kept from the moment a request is acted upon: what the contract refuses leaves no key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.store import Store

REMEMBERED = 86_400


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    request_id: str = ""
    original: str = ""  # where this is a replay: the id of the request that was acted upon

    @property
    def is_replay(self) -> bool:
        return bool(self.original)


def known_answer(store: Store, key: str, asked: Any, request_id: str) -> Answer | None:
    """What a key was answered with. Raises Refused where it stood for another request."""
    keys = store.state["keys"]
    for old in [k for k, row in keys.items() if store.now() - row["at"] > REMEMBERED]:
        del keys[old]
    row = keys.get(key)
    if row is None:
        return None
    if row["asked"] != asked:
        raise Refused(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            kind="idempotency_error",
        )
    return Answer(row["status"], row["body"], request_id, original=row["request_id"])


def in_use(key: str) -> Refused:
    """409 `idempotency_key_in_use`: the first request under a key is not over yet."""
    return Refused(
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        status=409,
        code="idempotency_key_in_use",
    )


def answer_keep(store: Store, key: str, asked: Any, answer: Answer) -> None:
    store.state["keys"][key] = {
        "asked": asked,
        "status": answer.status,
        "body": answer.body,
        "request_id": answer.request_id,
        "at": store.now(),
    }
