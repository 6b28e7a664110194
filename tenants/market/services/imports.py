"""Reading files of rivals' prices: each file once, all of it or nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence

from django.db import IntegrityError

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import atomic
from tenants.market.alerting import alerts_write
from tenants.market.events import MarketImported
from tenants.market.importing.differences import moves_since, product_key
from tenants.market.importing.moves_csv import SHIPPED, moves_read
from tenants.market.importing.per_token_json import CURRENCY, Listed, price_list_read
from tenants.market.locks import market_locked
from tenants.market.models import MarketImport, MarketMove, MarketProduct
from tenants.market.moves import PriceMove, Product
from tenants.market.permissions import operators_only
from tenants.market.records import (
    known_of,
    move_columns,
    move_of,
    price_columns,
    product_follow,
    stored,
)

Products = dict[Product, MarketProduct]
LONG_AGO = dt.date(1970, 1, 1)
TOLD = ("input_before", "output_before", "input_after", "output_after", "currency")
FOLLOWED = (
    "model_class", "currency", "input", "output", "cached", "priced_on", "promotion_until",
    "regular_input", "regular_output",
)  # fmt: skip


def moves_import(*, actor: Actor, text: str, unit: str = "", name: str = "") -> MarketImport:
    """Read a CSV of moves (`importing.moves_csv`) and keep those that are new.

    Raises PermissionDenied, InvalidInput with the line and column, Conflict where this very file
    was read before, or where a move is known with other prices. Nothing of it is kept then.
    """
    operators_only(actor)
    moves = sorted(moves_read(text, unit=unit or None), key=lambda move: move.date)
    _check_future(moves[-1].date)
    row = MarketImport(
        id=new_id("mimp_"),
        format=MarketImport.Format.MOVES,
        digest=_digest(text, unit),
        name=name[:200],
        observed_on=moves[-1].date,
        imported_by=actor.id,
    )
    with atomic():
        _begin(row)
        known = _known()
        for move in moves:
            _keep_class(_product(known, move), move)
        return _finish(actor, row, known, moves)


def price_list_import(
    *,
    actor: Actor,
    text: str,
    observed_on: dt.date | None = None,
    providers: Sequence[str] = (),
    unit: str = "",
    name: str = "",
) -> MarketImport:
    """Read a per-token price list (`importing.per_token_json`) as what held on a day (today).

    Of the `providers` named; else of those that are known already. A price that differs from the
    known one is a move. Raises as `moves_import`, and InvalidInput where no provider matches, or
    where a later list was read already.
    """
    operators_only(actor)
    day = observed_on or now().date()
    _check_future(day)
    found = price_list_read(text, unit=unit or None)
    row = MarketImport(
        id=new_id("mimp_"),
        format=MarketImport.Format.PRICE_LIST,
        digest=_digest(text, unit, day.isoformat(), *sorted(providers)),
        name=name[:200],
        observed_on=day,
        skipped=found.skipped,
        imported_by=actor.id,
    )
    with atomic():
        _begin(row)
        before = _listed_before(row)
        known = _known()
        listed = _chosen(found.listed, providers, known)
        row.skipped += len(found.listed) - len(listed)
        row.providers = sorted({one.provider.casefold() for one in listed})
        moves = moves_since(
            listed,
            {key: known_of(product) for key, product in known.items()},
            day=day,
            source=row.name or "price list",
            listed_before=before,
        )
        for one in listed:
            _list_product(known, one, day)
        return _finish(actor, row, known, moves)


def market_ensure(*, tenant_id: str) -> None:
    """Have the shipped history in the tables of a new installation, read by the platform's tenant
    (system scope).
    """
    if MarketImport.objects.exists():
        return
    with atomic():
        market_locked()
        if not MarketImport.objects.exists():
            actor = system_actor(tenant_id)
            moves_import(actor=actor, text=SHIPPED.read_text("utf-8"), name=SHIPPED.name)


def _begin(row: MarketImport) -> None:
    """One file at a time. Raises Conflict for one that was read before."""
    market_locked()
    try:
        with atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("this very file was imported before", param="file") from error


def _finish(
    actor: Actor, row: MarketImport, known: Products, moves: Sequence[PriceMove]
) -> MarketImport:
    new = _new_moves(row, known, moves)
    for made in new:
        product_follow(made.product, move_of(made))
    _products_save(known.values())
    MarketMove.objects.bulk_create(new)
    row.added, row.known = len(new), len(moves) - len(new)
    row.save(update_fields=["added", "known", "skipped", "providers"])
    alerts_write(new)
    audit_record(
        actor=actor, action="market.import", target=row.id,
        data={"format": row.format, "added": row.added, "known": row.known},
    )  # fmt: skip
    emit(MarketImported(tenant_id=None, import_id=row.id, added=row.added))
    return row


def _new_moves(row: MarketImport, known: Products, moves: Sequence[PriceMove]) -> list[MarketMove]:
    """Those that are not written down yet. Raises Conflict for one that was told otherwise."""
    of = [known[product_key(*move.product)] for move in moves]
    rows = MarketMove.objects.filter(product_id__in={product.id for product in of})
    there = {(each.product_id, each.date, each.kind): each for each in rows}
    new = []
    for product, move in zip(of, moves, strict=True):
        made = MarketMove(product=product, source_file=row, **move_columns(move))
        told = there.setdefault((product.id, move.date, move.kind), made)
        if told is made:
            new.append(made)
        elif any(getattr(told, side) != getattr(made, side) for side in TOLD):
            raise Conflict(
                f"{product} already has a {move.kind} on {move.date}, with other prices; moves are "
                "never changed",
                param="file",
            )
    return new


def _products_save(rows: Iterable[MarketProduct]) -> None:
    new = [row for row in rows if row._state.adding]  # noqa: SLF001 -- Django's own mark
    MarketProduct.objects.bulk_update([row for row in rows if row not in new], FOLLOWED)
    MarketProduct.objects.bulk_create(new)


def _known() -> Products:
    return {product_key(row.provider, row.model): row for row in MarketProduct.objects.all()}


def _product(known: Products, move: PriceMove) -> MarketProduct:
    """That of a move; a new one has no price until the move is followed."""
    key = product_key(*move.product)
    if key not in known:
        known[key] = MarketProduct(
            id=new_id("prod_"),
            provider=move.provider,
            model=move.model,
            model_class=move.model_class,
            currency=move.currency,
            priced_on=LONG_AGO,
        )
    return known[key]


def _keep_class(product: MarketProduct, move: PriceMove) -> None:
    """A file classes what nobody has; what an operator said stands."""
    product.model_class = product.model_class or move.model_class


def _list_product(known: Products, one: Listed, day: dt.date) -> None:
    """A product that a list names for the first time, or has seen again."""
    key = product_key(one.provider, one.model)
    if key not in known:
        known[key] = MarketProduct(
            id=new_id("prod_"),
            provider=one.provider,
            model=one.model,
            currency=CURRENCY,
            priced_on=day,
            **price_columns(one.price),
        )
    if known[key].currency == CURRENCY and one.cached is not None:
        known[key].cached = stored(one.cached)


def _chosen(listed: Iterable[Listed], providers: Sequence[str], known: Products) -> list[Listed]:
    listed = list(listed)
    wanted = {name.casefold() for name in providers} or {provider for provider, _ in known}
    found = [one for one in listed if one.provider.casefold() in wanted]
    if not found:
        there = sorted({one.provider for one in listed})
        raise InvalidInput(
            f"the list has no model of {', '.join(sorted(wanted)) or 'any known provider'}; name "
            f"some of its {len(there)} providers: {', '.join(there[:20])}",
            param="providers",
        )
    return found


def _listed_before(row: MarketImport) -> set[str]:
    """Whose lists were read already. Raises InvalidInput where a later list is known: differences
    have one direction.
    """
    lists = MarketImport.objects.filter(format=row.format).exclude(pk=row.pk)
    if lists.filter(observed_on__gt=row.observed_on).exists():
        raise InvalidInput(
            f"a list of a later day than {row.observed_on} was imported already",
            param="observed_on",
        )
    return {name for names in lists.values_list("providers", flat=True) for name in names}


def _check_future(day: dt.date) -> None:
    if day > now().date() + dt.timedelta(days=1):
        raise InvalidInput(f"{day} lies in the future", param="file")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
