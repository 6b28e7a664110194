"""What a test does that Stripe's API cannot: pay, wait, withhold webhooks, break connections."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx

from tests.stripe_server.delivering import Delivery, delivered
from tests.stripe_server.faults import What


class Control:
    """The server's door, typed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/_test/", timeout=10)

    def pay_session(self, session: str, method: str = "pm_card_visa") -> dict[str, Any]:
        """The customer pays on a Checkout page; the answer holds `error` for a decline."""
        found: dict[str, Any] = self._do("pay_session", session=session, method=method)
        return found

    def expire_session(self, session: str) -> None:
        self._do("expire_session", session=session)

    def advance(self, *, days: float = 0, seconds: float = 0) -> None:
        """Let time pass: bank debits settle, funds become available, keys are forgotten."""
        self._do("advance", seconds=days * 86_400 + seconds)

    def onboard(self, account: str) -> None:
        """A partner completes Stripe's onboarding."""
        self._do("onboard", account=account)

    def open_dispute(self, charge: str, amount: int | None = None) -> str:
        """The payer's bank takes a payment back; returns the dispute's id."""
        return str(self._do("open_dispute", charge=charge, amount=amount)["id"])

    def fail_charge(self, charge: str) -> None:
        """A bank debit that had succeeded is returned."""
        self._do("fail_charge", charge=charge)

    def fail_refund(self, refund: str) -> None:
        self._do("fail_refund", refund=refund)

    def fail_payout(self, payout: str) -> None:
        self._do("fail_payout", payout=payout)

    def arrive_payout(self, payout: str) -> None:
        self._do("arrive_payout", payout=payout)

    def take_events(self) -> list[bytes]:
        """Payloads that wait for delivery; they will not be offered again."""
        return [text.encode() for text in self._do("take_events")]

    def deliver(self, url: str, how: Delivery) -> list[int]:
        """Bring what waits to an address, as badly as is wanted; the statuses of its answers."""
        return delivered(self.take_events(), url, how)

    def hold_webhooks(self) -> None:
        """Send none by itself until `let_webhooks_go`."""
        self._do("hold_webhooks", is_held=True)

    def let_webhooks_go(self) -> None:
        self._do("hold_webhooks", is_held=False)

    def authenticate(self, intent: str, *, ok: bool = True) -> dict[str, Any]:
        """The customer meets the bank's question (3D Secure) of a payment or a set-up."""
        found: dict[str, Any] = self._do("authenticate", intent=intent, ok=ok)
        return found

    def fees(self, share: Decimal, **fixed: int) -> None:
        """What Stripe takes from now on: a share, and a fixed part by currency."""
        self._do("fees", share=str(share), fixed=fixed)

    def release(self) -> None:
        """Let the requests go on that a HOLD keeps in flight."""
        self._do("release")

    def forget_keys(self) -> None:
        """Prune every idempotency key, as Stripe may after a day."""
        self._do("forget_keys")

    def api_version(self, version: str) -> None:
        """The version that events are written in from now on."""
        self._do("api_version", version=version)

    def fault(
        self, what: What, match: str = "", *, skip: int = 0, times: int = 1, status: int = 500
    ) -> None:
        """Have the `skip`-th matching request from now on meet a fault."""
        self._do("fault", what=str(what), match=match, skip=skip, times=times, status=status)

    def requests(self) -> list[dict[str, Any]]:
        """What was asked since the start, or since `clear`."""
        found: list[dict[str, Any]] = self._do("requests")
        return found

    def clear(self) -> None:
        """Forget faults that were not met, and the requests."""
        self._do("clear")

    def _do(self, name: str, **given: Any) -> Any:
        answer = self._client.post(name, json=given)
        answer.raise_for_status()
        return answer.json().get("result")
