"""What is asked of charging, and what it answers. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money
from tenants.pricing.canonical import canonical_hash
from tenants.usage.meters import meter_named

MAX_KEY = 190  # the ledger's key is `charge:` and this one
SUBJECTS = frozenset({"job", "order", "request", "sweep", "statement"})


@dataclass(frozen=True)
class ChargeItem:
    """`quantity` of `meter`, counted at `event_time`. Raises InvalidInput."""

    meter: str
    quantity: Decimal
    dimensions: Mapping[str, str]
    event_time: dt.datetime

    def __post_init__(self) -> None:
        meter_named(self.meter)
        if not self.quantity.is_finite() or self.quantity < 0:
            raise InvalidInput(
                f"a quantity is finite and at least 0, not {self.quantity}", param="quantity"
            )
        if self.event_time.tzinfo is None:
            raise InvalidInput("event_time needs a time zone", param="event_time")


@dataclass(frozen=True)
class ChargeRequest:
    """What one piece of work used, to be charged under `key`.

    `hold_key`: drawn first, then closed unless `keep_hold`. `bound`: the most that is charged, net
    of tax; the rest is a `quote_cap` line. `adjust`: what its quote was adjusted by, as a share of
    every line. `waive`: why this request, and all that its subject was
    charged before, is given back as `waiver` lines. `labels` name api_key_id and model for budgets.
    `occurred_at` defaults to the latest event's time. `seller`: who shares in all of it
    ("plugin:name"), where its items do not say; `cost`: its measured compute, which a partner may
    bear part of, in the charge's currency.
    """

    tenant_id: str
    key: str
    subject_kind: str
    subject_id: str
    items: Sequence[ChargeItem]
    hold_key: str | None = None
    bound: Money | None = None
    adjust: Decimal = Decimal(0)
    waive: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    quote_id: str = ""
    keep_hold: bool = False
    occurred_at: dt.datetime | None = None
    seller: str = ""
    cost: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.subject_kind not in SUBJECTS:
            raise InvalidInput(f"subject_kind is one of {', '.join(sorted(SUBJECTS))}")
        if not 1 <= len(self.key) <= MAX_KEY or not self.key.isprintable():
            raise InvalidInput(f"key is 1 to {MAX_KEY} printable characters", param="key")
        if not self.items and self.occurred_at is None:
            raise InvalidInput("a charge without items says when it occurred", param="occurred_at")

    @property
    def moment(self) -> dt.datetime:
        if self.occurred_at is not None:
            return self.occurred_at
        return max(item.event_time for item in self.items)

    @property
    def fingerprint(self) -> str:
        """sha256 of what is charged: not of when, as repeated work is counted later."""
        items = [(item.meter, item.quantity, dict(item.dimensions)) for item in self.items]
        bound = (self.bound.amount, self.bound.currency) if self.bound else None
        adjust = [self.adjust] if self.adjust else []
        return canonical_hash(
            [self.subject_kind, self.subject_id, items, bound, self.waive, self.quote_id, *adjust]
        )


@dataclass(frozen=True)
class Charged:
    """What was charged, tax apart. `rated` is the net before bound and waiver; `repeated`: the key
    had been charged before, and this is that charge.
    """

    charge_id: str
    transaction_id: str
    net: Money
    tax: Money
    rated: Money
    allowance: Decimal
    promotion: Decimal
    paid: Decimal
    postpaid: Decimal
    repeated: bool = False

    @property
    def gross(self) -> Money:
        return self.net + self.tax
