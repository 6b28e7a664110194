"""Contracts: a customer's terms, effective-dated. By operators only, in the system's scope."""

from __future__ import annotations

import datetime as dt

from django.db.models import Sum

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant
from tenants.ledger.services import grant_issue, wallet_change
from tenants.pricing.cards import CURRENCY, month_bounds, period_of
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.events import ContractChanged
from tenants.pricing.exact import ZERO
from tenants.pricing.locks import contracts_locked
from tenants.pricing.models import Contract, FxRate, PeriodTotal, PriceBook, PriceBookVersion
from tenants.pricing.permissions import operators_only, system_only
from tenants.pricing.price_writes import price_guard, prices_lock
from tenants.pricing.selectors.books import exchange_rate

_SOURCE = "contract"  # of an allowance


def contract_write(*, actor: Actor, tenant_id: str, terms: NewContract) -> Contract:
    """Give a tenant terms; the contract in force ends where this one starts.

    Raises PermissionDenied, NotFound, Conflict where a later contract is written, InvalidInput for
    a start in the past, an exchange rate that is missing (`fx_missing`), a currency changed in
    mid-month (`currency_mismatch`), or a price that it brings below its floor without an override
    (`price_below_floor`).
    """
    operators_only(actor)
    prices_lock()
    tenant = Tenant.objects.select_for_update().filter(pk=tenant_id).first()
    if tenant is None:
        raise NotFound(f"no tenant {tenant_id!r}", param="tenant_id")
    with price_guard(tenant_id=tenant_id):
        moment = database_now()
        contract = _contract(tenant_id, terms, moment)
        _succeed(contract, moment)
        contract.save()
    audit_record(actor=actor, action="contract.write", target=contract.id, data=_told(contract))
    emit(ContractChanged(tenant_id=tenant_id, contract_id=contract.id, starts=contract.starts))
    _apply(tenant_id, moment)
    return contract


def contract_end(*, actor: Actor, tenant_id: str, ends: dt.datetime | None = None) -> Contract:
    """End the contract in force at `ends` (default: now); list prices and no credit follow.

    Raises PermissionDenied, NotFound where none is open, InvalidInput for an end in the past, or
    where list prices less the credit that was given lie below their floors (`price_below_floor`).
    """
    operators_only(actor)
    prices_lock()
    moment = database_now()
    at = ends or moment
    if at.tzinfo is None or at < moment:
        raise InvalidInput("a contract ends now or later", param="ends")
    found = [c for c in contracts_locked(tenant_id) if c.ends is None or c.ends > at]
    if not found or found[0].starts >= at:
        raise NotFound(f"tenant {tenant_id} has no contract in force then", param="tenant_id")
    contract = found[0]
    if contract.currency != CURRENCY:
        _check_currency_change(tenant_id, contract.currency, at, moment)
    with price_guard(tenant_id=tenant_id):
        contract.ends = at
        contract.save(update_fields=["ends"])
    audit_record(
        actor=actor, action="contract.end", target=contract.id, data={"ends": at.isoformat()}
    )
    emit(ContractChanged(tenant_id=tenant_id, contract_id=None, starts=at))
    _apply(tenant_id, moment)
    return contract


def contracts_apply() -> int:
    """Carry contracts over to wallets: credit limits, and this month's allowances (system scope).

    Safe to repeat. For a periodic task: contracts begin and end, and months too. Returns how many
    tenants have contracts.
    """
    system_only()
    moment = database_now()
    tenant_ids = sorted(set(Contract.objects.values_list("tenant_id", flat=True)))
    for tenant_id in tenant_ids:
        _apply(tenant_id, moment)
    return len(tenant_ids)


def _apply(tenant_id: str, moment: dt.datetime) -> None:
    """Only the contract in force gives credit; each currency that a contract ever had, a wallet."""
    contracts = contracts_locked(tenant_id)
    in_force = [c for c in contracts if c.starts <= moment and (c.ends is None or moment < c.ends)]
    current = in_force[-1] if in_force else None
    for currency in sorted({c.currency for c in contracts if c.starts <= moment}):
        mine = current is not None and current.currency == currency
        wallet_change(
            tenant_id=tenant_id,
            currency=currency,
            credit_limit=Money(current.credit_limit if current and mine else ZERO, currency),
        )
    if current is not None:
        _allowance_issue(current, period_of(moment))


def _allowance_issue(contract: Contract, period: dt.date) -> None:
    """Give what is lacking to the month's allowance: a former contract's of this month counts."""
    expires_at = month_bounds(period)[1]
    given = CreditGrant.objects.filter(
        tenant_id=contract.tenant_id,
        wallet__currency=contract.currency,
        kind=GrantKind.ALLOWANCE,
        source=_SOURCE,
        expires_at=expires_at,
    ).aggregate(given=Sum("amount"))["given"]
    lacking = contract.allowance - (given or ZERO)
    if lacking > 0:
        grant_issue(
            tenant_id=contract.tenant_id,
            key=f"allowance:{contract.id}:{period:%Y-%m}",
            kind=GrantKind.ALLOWANCE,
            amount=Money(lacking, contract.currency),
            expires_at=expires_at,
            source=_SOURCE,
        )


def _book(book_id: str, tenant_id: str) -> PriceBook | None:
    if not book_id:
        return None
    book = PriceBook.objects.filter(pk=book_id).first()
    if book is None or book.tenant_id not in {None, tenant_id}:
        raise NotFound(f"no price book {book_id!r} for this tenant", param="book_id")
    if not PriceBookVersion.objects.filter(book=book, published_at__isnull=False).exists():
        raise InvalidInput(f"{book_id} has no published version yet", param="book_id")
    return book


def _version(version_id: str, book_id: str) -> PriceBookVersion | None:
    if not version_id:
        return None
    version = PriceBookVersion.objects.filter(pk=version_id, published_at__isnull=False).first()
    if version is None:
        raise NotFound(f"no published version {version_id!r}", param="pinned_version_id")
    if version.book_id != book_id and not (not book_id and version.book.is_list):
        raise InvalidInput("the pinned version is another book's", param="pinned_version_id")
    return version


def _contract(tenant_id: str, terms: NewContract, moment: dt.datetime) -> Contract:
    """The row, checked against what there is."""
    contract = Contract(
        id=new_id("contract_"),
        tenant_id=tenant_id,
        book=_book(terms.book_id, tenant_id),
        pinned_version=_version(terms.pinned_version_id, terms.book_id),
        starts=terms.starts or moment,
        ends=terms.ends,
        **terms.amounts,
    )
    if contract.starts < moment:
        raise InvalidInput("a contract starts now or later", param="starts")
    if contract.ends is not None and contract.ends <= contract.starts:
        raise InvalidInput("a contract ends after it starts", param="ends")
    _check_prices(contract)
    _check_fx(contract)
    return contract


def _check_prices(contract: Contract) -> None:
    """A book that is followed has prices when the contract starts. Raises InvalidInput."""
    if contract.book is None or contract.pinned_version is not None:
        return
    versions = PriceBookVersion.objects.filter(book=contract.book, published_at__isnull=False)
    first = versions.order_by("valid_from").values_list("valid_from", flat=True).first()
    if first is None or first > contract.starts:
        since = f"from {first.isoformat()} on" if first else "nowhere yet"
        raise InvalidInput(
            f"the prices of {contract.book_id} hold {since}, after the contract starts",
            param="starts",
        )


def _check_fx(contract: Contract) -> None:
    base = contract.book.currency if contract.book else CURRENCY
    pair = FxRate.objects.filter(base=base, quote=contract.currency)
    if base != contract.currency and not pair.exists():
        raise InvalidInput(
            f"no exchange rate from {base} to {contract.currency}; set one first",
            param="currency",
            code="fx_missing",
        )


def _succeed(contract: Contract, moment: dt.datetime) -> None:
    """End what is in force when this one starts. Raises Conflict."""
    others = contracts_locked(contract.tenant_id)
    later = [c for c in others if c.starts >= contract.starts]
    if later:
        raise Conflict(
            f"a contract from {later[0].starts.isoformat()} is already written", param="starts"
        )
    former = next((c for c in others if c.ends is None or c.ends > contract.starts), None)
    _check_currency_change(
        contract.tenant_id,
        former.currency if former else CURRENCY,
        contract.starts,
        moment,
        to=contract.currency,
    )
    if former is not None:
        former.ends = contract.starts
        former.save(update_fields=["ends"])


def _check_currency_change(
    tenant_id: str,
    currency: str,
    at: dt.datetime,
    moment: dt.datetime,
    *,
    to: str = CURRENCY,
) -> None:
    """A month is in one currency: it changes where a month begins, or before anything was charged.
    What was promised in the old one holds in the new one, at a rate that an operator has set.

    Raises InvalidInput.
    """
    if currency == to:
        return
    exchange_rate(currency, to, at)
    if at == month_bounds(period_of(at))[0]:
        return
    charged = PeriodTotal.objects.filter(tenant_id=tenant_id, period=period_of(at))
    if period_of(at) != period_of(moment) or charged.exclude(currency=to).exists():
        raise InvalidInput(
            f"the currency changes from {currency} to {to} where a month begins",
            param="currency",
            code="currency_mismatch",
        )


def _told(contract: Contract) -> dict[str, str | None]:
    names = (
        "tenant_id", "book_id", "pinned_version_id", "starts", "ends", "currency", "discount",
        "plan_fee", "commitment", "cap", "allowance", "credit_limit",
    )  # fmt: skip
    return {
        name: None if getattr(contract, name) is None else str(getattr(contract, name))
        for name in names
    }
