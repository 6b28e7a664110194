"""The demo's money: credit bought, work quoted, and whether the books add up at the end."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from django.db.models import Sum

from saas.demo.identities import DemoFailed, Identity
from saas.demo.narration import Narration
from saas.demo.waiting import wait_for
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind
from tenants.ledger.models import LedgerPosting
from tenants.pricing.models import ChargeLine

ENDED = frozenset({"succeeded", "failed", "cancelled"})
PATIENCE_S = 60.0  # what is counted by the hour may be charged a moment after it is counted


@dataclass(frozen=True)
class Account:
    """One side's own key, speaking HTTP."""

    base_url: str
    identity: Identity

    def get(self, path: str, **query: str) -> Any:
        return self._send("GET", path, params=query).json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._send("POST", path, json=dict(body)).json()

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._send("PUT", path, json=dict(body)).json()

    def raw(self, path: str, **query: str) -> bytes:
        """An answer that is no JSON."""
        return self._send("GET", path, params=query).content

    def ended(self, path: str, *, limit_s: float) -> Mapping[str, Any]:
        """Ask for a job until it has ended well. Raises DemoFailed."""

        def look() -> Mapping[str, Any] | None:
            found: Mapping[str, Any] = self.get(path)
            return found if found["state"] in ENDED else None

        job = wait_for(f"the end of {path}", look, limit_s=limit_s)
        if job["state"] != "succeeded":
            raise DemoFailed(f"{path} {job['state']}: {job['error']}")
        return job

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.identity.api_key}"}
        answer = httpx.request(
            method, f"{self.base_url}{path}", headers=headers, timeout=60, **more
        )
        if answer.is_error:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer


def top_up(customer: Account, operator: Account, amount: str) -> str:
    """Buy credit as one does: transfer money with the wallet's reference, and let staff import the
    bank's list. Returns the reference.
    """
    reference: str = customer.get("/v1/wallet")["top_up"]["reference"]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    number = f"demo-{secrets.token_hex(8)}"
    lines = (
        "date,amount,currency,reference,payer,bank_id\n"
        f"{today},{amount},USD,{reference},Demo,{number}\n"
    )
    imported = operator.post("/operator/v1/bank_transfers", {"csv": lines})
    if imported["matched"] != 1:
        raise DemoFailed(f"the transfer found no wallet: {imported}")
    return reference


def quote(customer: Account, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a fine-tune would cost: `body` is that of POST /v1/fine_tuning/jobs."""
    found: dict[str, Any] = customer.post("/v1/quotes", {"kind": "fine_tune", **body})
    return found


def say_quote(narration: Narration, role: str, found: Mapping[str, Any]) -> None:
    amounts = ", ".join(
        f"{case} {cents(found[case]['total'])}" for case in ("low", "expected", "high")
    )
    seconds = found["seconds"]
    expected = f"about {float(seconds['expected']):.0f} s" if seconds else "time not yet known"
    narration.say(f"{role:9s} quote {found['id']}: {amounts} {found['currency']}, {expected}")


def cents(amount: str) -> str:
    """An exact amount for eyes: four decimals."""
    return f"{Decimal(amount):.4f}"


@dataclass(frozen=True)
class Sums:
    """One tenant's month by three ways: what was charged, invoiced (exact) and earned."""

    charged: Decimal
    invoiced: Decimal
    revenue: Decimal

    @property
    def agree(self) -> bool:
        return self.charged == self.invoiced == self.revenue


def sums_of(customer: Account) -> tuple[Sums, dict[str, Any]]:
    """The three sums, and the upcoming invoice of which one is made."""
    invoice: dict[str, Any] = customer.get("/v1/invoices/upcoming")
    month = dt.date.fromisoformat(f"{invoice['period']}-01")
    tenant_id = customer.identity.tenant
    with system_scope():
        lines = ChargeLine.objects.filter(tenant_id=tenant_id, period=month)
        charged = lines.aggregate(total=Sum("net"))["total"]
        earned = LedgerPosting.objects.filter(
            account__kind=AccountKind.REVENUE,
            transaction__tenant_id=tenant_id,
            transaction__occurred_at__gte=dt.datetime.combine(month, dt.time(), dt.UTC),
        ).aggregate(total=Sum("amount"))["total"]
    invoiced = sum((Decimal(line["exact"]) for line in invoice["lines"]), Decimal(0))
    return Sums(charged or Decimal(0), invoiced, -(earned or Decimal(0))), invoice


def add_up(customer: Account) -> dict[str, Any]:
    """Return the upcoming invoice once charges, its lines and the ledger agree to the last digit.

    Raises DemoFailed where they do not within `PATIENCE_S`.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        sums, invoice = sums_of(customer)
        if sums.agree:
            return invoice
        if time.monotonic() > deadline:
            raise DemoFailed(f"the books do not add up: {sums}")
        time.sleep(2)


def balance(operator: Account) -> dict[str, Any]:
    """The trial balance, once it is sure that it is one.

    Raises DemoFailed where a currency does not sum to zero, a transaction does not balance, or a
    wallet, grant, hold or budget says other than the postings.
    """
    books: dict[str, Any] = operator.get("/operator/v1/ledger")
    off = {currency: total for currency, total in books["sums"].items() if Decimal(total)}
    if off or books["unbalanced"] or books["wrong"] or not books["accounts"]:
        raise DemoFailed(
            f"the ledger does not balance: sums {off}, transactions {books['unbalanced']}, "
            f"projections {books['wrong']}, {len(books['accounts'])} accounts"
        )
    return books


def tell_invoice(narration: Narration, role: str, invoice: Mapping[str, Any]) -> None:
    """Print the invoice so far, and what paid for it."""
    rows = [
        (line["description"], line["quantity"] or "", line["exact"], line["net"])
        for line in invoice["lines"]
    ]
    header = (f"{role}: invoice {invoice['period']} so far", "quantity", "exact", "net")
    narration.table(header, rows)
    names = ("total", "promotion", "prepaid", "due")
    said = ", ".join(f"{name} {invoice[name]}" for name in names)
    narration.say(f"{said} {invoice['currency']}")
