"""Credit that is set aside for a call before it runs, and more of it before that is passed.

A call is held at the most that it can cost so far: the tokens of its prompt and the block of tokens
that it may generate, at the tenant's rate card, tax in it. So what streams has always been paid for
or set aside. A hold ends by itself where the gateway dies.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context, Decimal

from django.conf import settings

from tenants.kernel.money import Money
from tenants.ledger.statements import (
    Statement,
    check_statement,
    extend_statement,
    hold_statement,
    release_statement,
)
from tenants.pricing.cards import RateCard, period_of
from tenants.pricing.charge_models import most
from tenants.pricing.drivers import program_run_async
from tenants.pricing.terms_reading import terms_read
from workers.serving.gateway.database import Connection, Database
from workers.serving.gateway.repeats import Claim

FRESH_S = 1.0  # how long a tenant's prices and tax are used again
MOST_KNOWN = 10_000  # tenants
_UP = Context(prec=200, rounding=ROUND_CEILING)
_TWELFTH = Decimal(1).scaleb(-12)

TAX = "SELECT tax_rate FROM wallet WHERE tenant_id = %(tenant_id)s AND currency = %(currency)s"
Quantities = Mapping[str, int]  # by meter


@dataclass(frozen=True)
class Prices:
    """What a tenant pays by at this moment."""

    card: RateCard
    tax_rate: Decimal

    def most(self, quantities: Quantities, dimensions: Mapping[str, str]) -> Decimal:
        """The most that these quantities can cost, tax in it, rounded up to 12 decimals."""
        net = Decimal(0)
        for meter, quantity in quantities.items():
            price = self.card.price_of(meter, dimensions)
            exact = _UP.multiply(most(price.model, Decimal(quantity)), self.card.factor)
            net += exact.quantize(_TWELFTH, context=_UP)
        return net + _UP.multiply(net, self.tax_rate).quantize(_TWELFTH, context=_UP)


class Funds:
    """Reads what tenants pay by, and keeps it for a moment."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._known: dict[str, tuple[float, Prices]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def prices(self, tenant_id: str) -> Prices:
        """Raises Unavailable, NotFound where no price is in force."""
        lock = self._asking.setdefault(tenant_id, asyncio.Lock())
        async with lock:
            asked_at, known = self._known.get(tenant_id, (0.0, None))
            if known is None or time.monotonic() - asked_at > FRESH_S:
                if len(self._known) > MOST_KNOWN:
                    self._known.clear()
                    self._asking.clear()
                known = await self._ask(tenant_id)
                self._known[tenant_id] = (time.monotonic(), known)
            return known

    async def _ask(self, tenant_id: str) -> Prices:
        async with self.database.transaction() as connection:
            return await prices_read(connection, tenant_id)

    async def require(
        self,
        connection: Connection,
        tenant_id: str,
        *,
        quantities: Quantities,
        dimensions: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> None:
        """Refuse a tenant with nothing left for what costs something; nothing is set aside.

        Raises InsufficientCredit by the end of the transaction.
        """
        prices = await prices_read(connection, tenant_id)
        if prices.most(quantities, dimensions):
            currency = prices.card.currency
            check = check_statement(tenant_id=tenant_id, currency=currency, labels=labels)
            await connection.execute(check.sql, check.params)


async def prices_read(connection: Connection, tenant_id: str) -> Prices:
    """What a tenant pays by now. Raises NotFound where no price is in force."""
    now = dt.datetime.now(dt.UTC)
    period = period_of(now)
    terms = await program_run_async(connection, terms_read([tenant_id], [period]))
    card = terms[tenant_id, period].at(now)
    asked = {"tenant_id": tenant_id, "currency": card.currency}
    row = await (await connection.execute(TAX, asked)).fetchone()
    return Prices(card, row["tax_rate"] if row else Decimal(0))


@dataclass
class Reservation:
    """What is set aside for one call. No credit is, where its prices come to zero."""

    funds: Funds
    tenant_id: str
    request_id: str
    dimensions: Mapping[str, str]  # that prices may depend on
    labels: Mapping[str, str]  # that budgets count by
    claim: Claim | None = None
    held: Decimal = field(default=Decimal(0), init=False)
    asked: bool = field(default=False, init=False)
    _prices: Prices | None = field(default=None, init=False)

    @property
    def key(self) -> str:
        return f"request:{self.request_id}"

    async def cover(self, quantities: Quantities) -> None:
        """Have enough set aside for these quantities in all.

        Raises InsufficientCredit, BudgetExceeded, Unavailable; what was set aside before stays.
        And Conflict, at first, where the same request is at work already.
        """
        if self._prices is None:
            if self.claim:
                await self.claim.take(self.funds.database)
            self._prices = await self.funds.prices(self.tenant_id)
        needed = self._prices.most(quantities, self.dimensions)
        if needed <= self.held:
            return
        self.asked = True
        await self.funds.database.ask(self._more(needed - self.held, self._prices.card.currency))
        self.held = needed

    def _more(self, amount: Decimal, currency: str) -> Statement:
        expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=settings.SERVING_HOLD_S)
        if self.held:
            return extend_statement(
                tenant_id=self.tenant_id, key=self.key, extra=amount, expires_at=expires_at
            )
        return hold_statement(
            tenant_id=self.tenant_id,
            key=self.key,
            amount=Money(amount, currency),
            labels=self.labels,
            expires_at=expires_at,
        )

    async def release(self) -> None:
        """Give back what is set aside, and the request's key. Raises Unavailable."""
        if self.claim:
            await self.claim.release(self.funds.database)
        if self.asked:
            await self.funds.database.ask(release_statement(tenant_id=self.tenant_id, key=self.key))
            self.held, self.asked = Decimal(0), False
