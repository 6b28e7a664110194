"""Reads of money, in the scope in force: a tenant's own, or everyone's for the system."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now

from tenants.kernel.errors import NotFound
from tenants.kernel.money import Money
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.models import (
    Budget,
    BudgetSpend,
    CreditGrant,
    Hold,
    LedgerPosting,
    LedgerTransaction,
    Wallet,
)

ORDER_OF_USE = tuple(GrantKind)


@dataclass(frozen=True)
class Balance:
    """A wallet as it stands. `available` may be spent now: free credit and room under the limit."""

    available: Money
    held: Money
    owed: Money
    credit_limit: Money
    tax_rate: Decimal
    grants: tuple[CreditGrant, ...]  # with something left, in the order in which they are used

    @property
    def credit(self) -> Money:
        """What is left of all grants that may still be used, held or not."""
        total = sum((grant.remaining for grant in self.grants), Decimal(0))
        return Money(total, self.owed.currency)


@dataclass(frozen=True)
class AccountBalance:
    """`amount`: debits less credits of all postings on accounts of one tenant, kind and ref."""

    tenant_id: str
    kind: AccountKind
    ref: str
    amount: Money


@dataclass(frozen=True)
class BudgetStanding:
    """A budget in one month."""

    budget: Budget
    period: dt.date
    spent: Money
    held: Money
    passed: bool


def wallet_balance(*, tenant_id: str, currency: str) -> Balance:
    """How a tenant's wallet stands; one that does not exist yet holds nothing."""
    wallet: Wallet | None = Wallet.objects.filter(tenant_id=tenant_id, currency=currency).first()
    if wallet is None:
        nothing = Money.zero(currency)
        return Balance(nothing, nothing, nothing, nothing, Decimal(0), ())
    grants = _usable(wallet)
    free = sum((grant.remaining - grant.held for grant in grants), Decimal(0))
    room = max(Decimal(0), wallet.credit_limit - wallet.receivable - wallet.held_postpaid)
    held = CreditGrant.objects.filter(wallet=wallet).aggregate(total=Sum("held"))["total"] or 0
    return Balance(
        available=Money(free + room, currency),
        held=Money(held + wallet.held_postpaid, currency),
        owed=Money(wallet.receivable, currency),
        credit_limit=Money(wallet.credit_limit, currency),
        tax_rate=wallet.tax_rate,
        grants=grants,
    )


def _usable(wallet: Wallet) -> tuple[CreditGrant, ...]:
    """Grants with something left, in the order of use (as `wallet_free_grants` in SQL)."""
    alive = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
    rows = CreditGrant.objects.filter(alive, wallet=wallet, open=True, closed_at__isnull=True)
    return tuple(sorted(rows, key=_use))


def _use(grant: CreditGrant) -> Any:
    """Kind, priority, earliest expiry, id."""
    never = dt.datetime.max.replace(tzinfo=dt.UTC)
    rank = ORDER_OF_USE.index(GrantKind(grant.kind))
    return rank, grant.priority, grant.expires_at or never, grant.id


def wallet_currency(*, grant_id: str = "", hold_key: str = "", tenant_id: str = "") -> str:
    """The currency of a grant, by its id, or of a tenant's hold, by its key. Raises NotFound."""
    rows: Any = (
        CreditGrant.objects.filter(id=grant_id)
        if grant_id
        else Hold.objects.filter(tenant_id=tenant_id, key=hold_key)
    )
    found: str | None = rows.values_list("wallet__currency", flat=True).first()
    if found is None:
        raise NotFound(f"there is no {f'grant {grant_id}' if grant_id else f'hold {hold_key!r}'}")
    return found


def ledger_balances(
    *,
    currency: str = "",
    kinds: Sequence[AccountKind] = (),
    until: dt.datetime | None = None,
) -> list[AccountBalance]:
    """Balances of accounts, of transactions before `until`. All of them together are zero."""
    chosen = Q(currency=currency) if currency else Q()
    if kinds:
        chosen &= Q(account__kind__in=list(kinds))
    if until is not None:
        chosen &= Q(transaction__occurred_at__lt=until)
    names = ("tenant_id", "account__kind", "account__ref", "currency")
    rows: Any = LedgerPosting.objects.filter(chosen).values_list(*names)
    return [
        AccountBalance(tenant, AccountKind(kind), ref, Money(amount, unit))
        for tenant, kind, ref, unit, amount in rows.annotate(amount=Sum("amount")).order_by(*names)
    ]


def transactions_of(
    *, tenant_id: str, kind: str = "", since: dt.datetime | None = None
) -> QuerySet[LedgerTransaction]:
    """A tenant's transactions, the latest first."""
    chosen = Q(tenant_id=tenant_id)
    if kind:
        chosen &= Q(kind=kind)
    if since is not None:
        chosen &= Q(occurred_at__gte=since)
    rows: QuerySet[LedgerTransaction] = LedgerTransaction.objects.filter(chosen)
    return rows.order_by("-occurred_at", "-id")


def unbalanced() -> list[str]:
    """Ids of transactions whose postings do not sum to zero (system scope): none, ever."""
    rows: Any = LedgerPosting.objects.values("transaction_id", "currency")
    off = rows.annotate(total=Sum("amount")).exclude(total=0).order_by("transaction_id")
    return [row["transaction_id"] for row in off]


def holds_open(*, tenant_id: str) -> QuerySet[Hold]:
    """A tenant's open holds with what is left of each as `left`, the latest first."""
    rows: QuerySet[Hold] = Hold.objects.filter(tenant_id=tenant_id, state=Hold.State.OPEN)
    return rows.annotate(left=F("amount") - F("drawn")).order_by("-created_at")


def budgets_of(*, tenant_id: str, period: dt.date) -> list[BudgetStanding]:
    """A tenant's budgets as they stand in the month that begins on `period`."""
    rows = Budget.objects.filter(tenant_id=tenant_id, archived_at__isnull=True)
    counted = {
        spend.budget_id: spend
        for spend in BudgetSpend.objects.filter(tenant_id=tenant_id, period=period)
    }
    return [_standing(budget, counted.get(budget.pk), period) for budget in rows.order_by("id")]


def _standing(budget: Budget, spend: BudgetSpend | None, period: dt.date) -> BudgetStanding:
    spent, held = (spend.spent, spend.held) if spend else (Decimal(0), Decimal(0))
    return BudgetStanding(
        budget=budget,
        period=period,
        spent=Money(spent, budget.currency),
        held=Money(held, budget.currency),
        passed=spend is not None and spend.passed_at is not None,
    )
