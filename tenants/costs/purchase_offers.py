"""What capacity can be bought ahead: entered by operators one by one, or read from CSV.

An offer is never changed: one of the same name takes its place, so that a plan knows the very
offers that it was made from. System scope.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from django.db.models import QuerySet

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import PurchaseOffer, Resource
from tenants.costs.services import resources_ensure
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, advisory_lock
from tenants.kernel.money import minor_units
from tenants.kernel.scope import ScopeError, atomic, required_scope

T = TypeVar("T")
WRITE = "billing.write"
MOST = 500  # offers at a time
LONGEST_TERM = 120  # months
NEEDED = ("name", "resource", "months", "capacity")
COLUMNS = (
    *NEEDED, "upfront", "monthly", "currency", "available", "kind", "kinds", "until",
)  # fmt: skip
BEYOND = ""  # names the cells that have no column
LONGEST_KIND = 40


@dataclass(frozen=True)
class NewOffer:
    """An offer as it is told; see `PurchaseOffer`. Raises InvalidInput, naming what is wrong."""

    name: str
    resource: str
    months: int
    capacity: Decimal
    upfront: Decimal = Decimal(0)
    monthly: Decimal = Decimal(0)
    currency: str = CURRENCY
    available: int = 100
    kind: str = PurchaseOffer.Kind.RESERVED
    kinds: tuple[str, ...] = ()
    until: dt.date | None = None

    def __post_init__(self) -> None:
        _check(self)


def offers_open() -> QuerySet[PurchaseOffer]:
    rows: QuerySet[PurchaseOffer] = PurchaseOffer.objects.filter(withdrawn_at=None)
    return rows.order_by("name")


def offers_set(*, actor: Actor, offers: Sequence[NewOffer]) -> list[PurchaseOffer]:
    """Enter offers, all or none; one that is known and says the same stays as it is.

    One that says something else under a known name takes the place of it. Raises PermissionDenied,
    InvalidInput for none at all, a name that is told twice or no class of workers.
    """
    _operators_only(actor)
    names = [offer.name for offer in offers]
    if not 1 <= len(names) <= MOST:
        raise InvalidInput(f"enter 1 to {MOST} offers, not {len(names)}", param="offers")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(f"the offer {twice[0]!r} is told twice", param="name")
    with atomic():
        advisory_lock(AdvisoryLock.COSTS, "offers")  # two of one name at once: one after the other
        resources_ensure()
        _require_resources(offers)
        known = {row.name: row for row in offers_open().select_for_update().filter(name__in=names)}
        return [_set(actor, offer, known.get(offer.name)) for offer in offers]


def offer_withdraw(*, actor: Actor, offer_id: str) -> PurchaseOffer:
    """It cannot be bought any more; one that is withdrawn already stays so.

    Raises PermissionDenied, NotFound.
    """
    _operators_only(actor)
    row: PurchaseOffer | None = (
        PurchaseOffer.objects.select_for_update().filter(pk=offer_id).first()
    )
    if row is None:
        raise NotFound(f"no offer {offer_id!r}", param="offer_id")
    if row.withdrawn_at is None:
        _withdraw(row)
        audit_record(actor=actor, action="purchase_offer.withdraw", target=row.id, data={})
    return row


def offers_read(text: str) -> list[NewOffer]:
    """Read offers from CSV. Raises InvalidInput, naming the line and the column.

    Columns: name, resource, months, capacity, and perhaps upfront, monthly, currency, available,
    kind (reserved or owned), kinds (of work, with spaces between), until.
    """
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    reader = csv.DictReader(lines, restkey=BEYOND, strict=True)
    try:
        _require_columns(reader.fieldnames or ())
        return [_line(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InvalidInput(f"after line {reader.line_num}: {error}", param="content") from error


def _require_columns(found: Sequence[str]) -> None:
    if missing := [name for name in NEEDED if name not in found]:
        raise InvalidInput(f"the file lacks the column {missing[0]}", param=missing[0])
    if strange := [name for name in found if name not in COLUMNS]:
        raise InvalidInput(
            f"no column {strange[0]!r}; known are {', '.join(COLUMNS)}", param="content"
        )
    if len(set(found)) < len(found):
        raise InvalidInput("a column is named twice", param="content")


def _line(number: int, row: Mapping[str, str | None]) -> NewOffer:
    if BEYOND in row:
        raise InvalidInput(
            f"line {number} has more cells than the first one: put a cell with a comma in quotes",
            param="content",
        )
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    given = {name: text for name, text in cells.items() if text}
    try:
        return NewOffer(
            name=cells["name"],
            resource=cells["resource"],
            months=_number(given, "months", int),
            capacity=_number(given, "capacity", Decimal),
            upfront=_number({"upfront": "0"} | given, "upfront", Decimal),
            monthly=_number({"monthly": "0"} | given, "monthly", Decimal),
            currency=given.get("currency", CURRENCY),
            available=_number({"available": "100"} | given, "available", int),
            kind=given.get("kind", PurchaseOffer.Kind.RESERVED),
            kinds=tuple(cells["kinds"].split()),
            until=_number(given, "until", dt.date.fromisoformat) if cells["until"] else None,
        )
    except InvalidInput as error:
        raise InvalidInput(f"line {number}: {error.message}", param=error.param) from error


def _number(given: Mapping[str, str], name: str, read: Callable[[str], T]) -> T:
    if name not in given:
        raise InvalidInput(f"{name} is empty", param=name)
    try:
        return read(given[name])
    except (ValueError, InvalidOperation):
        raise InvalidInput(f"{name} cannot be {given[name]!r}", param=name) from None


def _set(actor: Actor, offer: NewOffer, known: PurchaseOffer | None) -> PurchaseOffer:
    fields = asdict(offer)
    fields["resource_id"], fields["kinds"] = fields.pop("resource"), sorted(offer.kinds)
    if known is not None:
        if all(getattr(known, name) == value for name, value in fields.items()):
            return known
        _withdraw(known)
    row: PurchaseOffer = PurchaseOffer.objects.create(
        id=new_id("offer_"), created_by=actor.id, **fields
    )
    data = {"name": row.name, "cost": f"{row.cost:f}", "currency": row.currency}
    audit_record(actor=actor, action="purchase_offer.set", target=row.id, data=data)
    return row


def _withdraw(row: PurchaseOffer) -> None:
    row.withdrawn_at = database_now()
    row.save(update_fields=["withdrawn_at"])


def _require_resources(offers: Sequence[NewOffer]) -> None:
    rows = Resource.objects.filter(unit="slot-second").values_list("id", flat=True)
    known = set(rows)
    for offer in offers:
        if offer.resource not in known:
            raise InvalidInput(
                f"{offer.name}: no class of workers {offer.resource!r}; there are"
                f" {', '.join(sorted(known))}",
                param="resource",
            )


def _check(offer: NewOffer) -> None:
    def refuse(why: str, param: str) -> InvalidInput:
        return InvalidInput(f"the offer {offer.name!r}: {why}", param=param)

    if not 1 <= len(offer.name) <= 60 or not offer.name.isprintable():
        raise InvalidInput("an offer has a name of 1 to 60 printable characters", param="name")
    if strange := [kind for kind in offer.kinds if not _is_kind(kind)]:
        raise refuse(f"no kind of work is {strange[0]!r}", "kinds")
    if not 1 <= offer.months <= LONGEST_TERM:
        raise refuse(f"its term is 1 to {LONGEST_TERM} months, not {offer.months}", "months")
    for name in ("capacity", "upfront", "monthly"):
        value = getattr(offer, name)
        if not value.is_finite() or not 0 <= value < 10**12 or value != round(value, 6):
            raise refuse(f"{name} is at least 0, with at most 6 decimals, not {value}", name)
    if offer.capacity == 0:
        raise refuse("a unit of it has a capacity above 0, in slot-hours a month", "capacity")
    if not 0 <= offer.available <= 1_000_000:
        raise refuse("available is how many units a month, at least 0", "available")
    if offer.kind not in PurchaseOffer.Kind.values:
        raise refuse(f"kind is one of {', '.join(PurchaseOffer.Kind.values)}", "kind")
    try:
        minor_units(offer.currency)
    except ValueError as error:
        raise refuse(str(error), "currency") from error


def _is_kind(text: str) -> bool:
    return 1 <= len(text) <= LONGEST_KIND and text.isidentifier()


def _operators_only(actor: Actor) -> None:
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"offers are the platform's own; {scope} neither reads nor writes them")
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators say what can be bought")
    actor.require(WRITE)
