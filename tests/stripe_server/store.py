"""What the server remembers: objects by kind, events, and what is due later.

A JSON file, where one is given, survives the process. Fields that begin with `_` are the server's
own and never leave it.
"""

from __future__ import annotations

import copy
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stripe._api_version import _ApiVersion

from tests.stripe_server.errors import missing

Object = dict[str, Any]
PREFIXES = {
    "account": "acct", "account_link": "link", "balance_transaction": "txn",
    "billing.meter": "mtr", "billing_portal.session": "bps", "charge": "ch",
    "checkout.session": "cs_test", "credit_note": "cn", "customer": "cus", "dispute": "du",
    "event": "evt", "invoice": "in", "invoice_payment": "inpay", "invoiceitem": "ii",
    "line_item": "il", "payment_intent": "pi", "payment_method": "pm", "payment_record": "pr",
    "payout": "po", "price": "price", "product": "prod", "refund": "re", "setup_intent": "seti",
    "subscription": "sub", "subscription_item": "si", "test_helpers.test_clock": "clock",
    "transfer": "tr", "transfer_reversal": "trr", "webhook_endpoint": "we",
}  # fmt: skip

NO_REQUEST: Object = {"id": None, "idempotency_key": None}


class Store:
    """All state. Callers hold the server's lock.

    `url`: where the pages are. `request`: the one that is acted upon now; what time or a customer
    brings has none.
    """

    def __init__(self, file: Path | None = None, url: str = "") -> None:
        self.file, self.url = file, url
        self.request = dict(NO_REQUEST)
        self.state: dict[str, Any] = {
            "objects": {}, "keys": {}, "due": [], "deliveries": [], "offset": 0.0, "number": 0,
            "api_version": _ApiVersion.CURRENT, "is_held": False,
            "fees": {"share": "0.029", "fixed": {}},
        }  # fmt: skip
        if file is not None and file.exists():
            self.state = json.loads(file.read_text())
            self._relink()

    def _relink(self) -> None:
        """An object within another is the object itself again, not a copy of it."""
        known = {i: one for objects in self.state["objects"].values() for i, one in objects.items()}
        for one in known.values():
            for name, value in one.items():
                if isinstance(value, dict) and isinstance(value.get("data"), list):
                    value["data"] = [known.get(part["id"], part) for part in value["data"]]
                elif name == "balance_transactions":
                    one[name] = [known[part["id"]] for part in value]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self.file is not None:
            beside = self.file.with_suffix(".new")
            beside.write_text(json.dumps(self.state))
            beside.replace(self.file)

    def page(self, kind: str, object_id: str) -> str:
        """The address of an object's page."""
        return f"{self.url}/{kind}/{object_id}"

    def now(self, clock: str | None = None) -> int:
        """Seconds of the epoch: the server's own time, or a test clock's."""
        if clock:
            return int(self.get("test_helpers.test_clock", clock)["frozen_time"])
        return int(time.time() + self.state["offset"])

    def clock_of(self, customer: str | None) -> str | None:
        """The test clock that a customer lives by, if any."""
        found = self.objects("customer").get(customer or "")
        return found.get("test_clock") if found else None

    def objects(self, kind: str) -> dict[str, Object]:
        found: dict[str, Object] = self.state["objects"].setdefault(kind, {})
        return found

    def add(self, kind: str, *, prefix: str = "", at: int | None = None, **fields: Any) -> Object:
        """A new object. Its id cannot be guessed from another's."""
        made: Object = {
            "id": f"{prefix or PREFIXES[kind]}_{secrets.token_hex(10)}",
            "object": kind,
            "created": self.now() if at is None else at,
            "livemode": False,
            **fields,
        }
        self.objects(kind)[made["id"]] = made
        return made

    def get(self, kind: str, object_id: str | None, param: str = "id") -> Object:
        """Raises Refused `resource_missing`."""
        found = self.objects(kind).get(object_id or "")
        if found is None:
            raise missing(kind.rpartition(".")[2], object_id or "", param)
        return found

    def where(self, kind: str, **equal: Any) -> Iterator[Object]:
        """Objects with these fields, the oldest first."""
        for one in list(self.objects(kind).values()):
            if all(one.get(name) == value for name, value in equal.items()):
                yield one

    def number(self) -> int:
        """A number that was never given before."""
        self.state["number"] += 1
        return int(self.state["number"])

    def later(self, at: int, task: str, object_id: str, clock: str | None = None) -> None:
        """Have `task` (a name in `due.TASKS`) done to an object at a time, by a clock."""
        self.state["due"].append({"at": at, "task": task, "id": object_id, "clock": clock})

    def emit(self, kind: str, about: Object, *, account: str | None = None) -> None:
        """An event, with the object as it stands, to be delivered to each endpoint."""
        event = self.add(
            "event",
            type=kind,
            api_version=self.state["api_version"],
            account=account,
            data={"object": visible(about)},
            pending_webhooks=1,
            request=dict(self.request),
        )
        self.state["deliveries"].append(event["id"])


def visible(value: Any) -> Any:
    """A copy without what is the server's own."""
    if isinstance(value, dict):
        return {n: visible(v) for n, v in value.items() if not n.startswith("_")}
    return [visible(v) for v in value] if isinstance(value, list) else copy.copy(value)
