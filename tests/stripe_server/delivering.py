"""Webhooks as badly as the network and their sender can bring them.

https://docs.stripe.com/webhooks#best-practices
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass

from tests.stripe_server.webhooks import posted


@dataclass(frozen=True)
class Delivery:
    """How events are brought: signed with `secret`, as `age_s` seconds ago.

    `twice`, `never`: shares of them, chosen by `seed`, which also shuffles them; None keeps their
    order. `api_version`: the version that they say they are of.
    """

    secret: str
    age_s: int = 0
    twice: float = 0
    never: float = 0
    seed: int | None = None
    api_version: str = ""

    def arranged(self, payloads: list[bytes]) -> list[bytes]:
        """What arrives, in its order."""
        chance = random.Random(self.seed or 0)
        arrive = [self._versioned(p) for p in payloads if chance.random() >= self.never]
        arrive += [payload for payload in arrive if chance.random() < self.twice]
        if self.seed is not None:
            chance.shuffle(arrive)
        return arrive

    def _versioned(self, payload: bytes) -> bytes:
        if not self.api_version:
            return payload
        return json.dumps({**json.loads(payload), "api_version": self.api_version}).encode()


def delivered(payloads: list[bytes], url: str, how: Delivery) -> list[int]:
    """The statuses that they were answered with; 0 where there was no answer."""
    at = int(time.time()) - how.age_s
    return [posted(payload, url, how.secret, at) for payload in how.arranged(payloads)]
