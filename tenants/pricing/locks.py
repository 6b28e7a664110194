"""Row locks of pricing: a book is locked while a version of it is drafted or published."""

from __future__ import annotations

from tenants.kernel.errors import NotFound
from tenants.pricing.models import Contract, PriceBook, PriceBookVersion


def book_locked(book_id: str) -> PriceBook:
    """Raises NotFound."""
    book = PriceBook.objects.select_for_update().filter(pk=book_id).first()
    if book is None:
        raise NotFound(f"no price book {book_id!r}", param="book_id")
    return book


def version_locked(version_id: str) -> PriceBookVersion:
    """Lock a version's book, then read the version. Raises NotFound."""
    row = PriceBookVersion.objects.filter(pk=version_id).values_list("book_id", flat=True).first()
    if row is None:
        raise NotFound(f"no price book version {version_id!r}", param="version_id")
    book_locked(row)
    return PriceBookVersion.objects.select_related("book").get(pk=version_id)


def contracts_locked(tenant_id: str) -> list[Contract]:
    """A tenant's contracts, by start; ordered by pk while locking."""
    rows = Contract.objects.select_for_update().filter(tenant_id=tenant_id).order_by("pk")
    return sorted(rows, key=lambda contract: contract.starts)
