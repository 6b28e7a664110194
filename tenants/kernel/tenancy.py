"""Lock one: models whose rows belong to a tenant, readable and writable inside a scope only.

Lock two is row-level security in the database (`rls.py`). Each holds without the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self, TypeVar

from django.db import models

from tenants.kernel.scope import Scope, ScopeError, current_scope, required_scope

M = TypeVar("M", bound=models.Model)


class TenantQuerySet(models.QuerySet[M]):
    """A queryset that runs only in the scope it was made in.

    Every way to the database passes `_guard`: a queryset made without a scope, or under another
    one, raises ScopeError when it is evaluated.
    """

    _scope: Scope | None = None
    _db: str | None

    def _guard(self) -> None:
        scope = required_scope()
        if self._scope != scope:
            raise ScopeError(
                f"a {self.model.__name__} queryset made for {self._scope or 'no scope'} "
                f"was used for {scope}"
            )
        if self._db not in (None, scope.alias):
            raise ScopeError(f"{scope} works on the connection {scope.alias!r}, not {self._db!r}")

    def _refuse_others(self, others: Iterable[Any]) -> None:
        """Queries are combined within one scope only."""
        for other in others:
            if getattr(other, "_scope", self._scope) != self._scope:
                raise ScopeError(f"{self.model.__name__} querysets of two scopes were combined")

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone._scope = self._scope
        return clone

    def _fetch_all(self) -> None:
        if self._result_cache is None:
            self._guard()
        super()._fetch_all()

    def iterator(self, *args: Any, **kwargs: Any) -> Iterator[M]:
        self._guard()
        return self._guarded(super().iterator(*args, **kwargs))

    def _guarded(self, rows: Iterator[M]) -> Iterator[M]:
        """The query runs at the first row, which may be asked for after the scope has ended."""
        self._guard()
        yield from rows

    async def aiterator(self, *args: Any, **kwargs: Any) -> AsyncIterator[M]:
        self._guard()
        async for row in super().aiterator(*args, **kwargs):
            yield row

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        """Used inside another query, as in `pk__in=queryset`."""
        self._guard()
        return super().resolve_expression(*args, **kwargs)

    def _merge_sanity_check(self, other: Any) -> None:
        self._refuse_others([other])
        super()._merge_sanity_check(other)  # type: ignore[misc]

    def _combinator_query(self, combinator: str, *others: Any, **kwargs: Any) -> Any:
        self._refuse_others(others)
        return super()._combinator_query(combinator, *others, **kwargs)  # type: ignore[misc]

    def count(self) -> int:
        self._guard()
        return super().count()

    def exists(self) -> bool:
        self._guard()
        return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._guard()
        return super().aggregate(*args, **kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> str:
        self._guard()
        return super().explain(*args, **kwargs)

    def raw(self, *args: Any, **kwargs: Any) -> Any:
        self._guard()
        return super().raw(*args, **kwargs)

    def update(self, **values: Any) -> int:
        self._guard()
        if "tenant" in values or "tenant_id" in values:
            raise ScopeError(f"a {self.model.__name__} never moves to another tenant")
        return super().update(**values)

    def _update(self, values: Any) -> int:
        self._guard()
        return super()._update(values)  # type: ignore[misc,no-any-return]

    def delete(self) -> tuple[int, dict[str, int]]:
        self._guard()
        return super().delete()

    def _raw_delete(self, using: str | None) -> int:
        self._guard()
        return super()._raw_delete(using)

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        self._guard()
        rows = list(objs)
        for row in rows:
            claim_for_scope(row)
        if kwargs.get("update_conflicts") or args[2:3] == (True,):
            self._refuse_upsert(kwargs.get("unique_fields") or args[4:5])
        return super().bulk_create(rows, *args, **kwargs)

    def _refuse_upsert(self, unique_fields: Iterable[str]) -> None:
        """A conflict on the primary key alone may be with another tenant's row."""
        if not {"tenant", "tenant_id"} & set(unique_fields):
            raise ScopeError(
                f"an upsert of {self.model.__name__} needs the tenant in unique_fields"
            )

    def _insert(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        self._guard()
        for row in objs:
            claim_for_scope(row)
        return super()._insert(objs, *args, **kwargs)  # type: ignore[misc]


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):  # type: ignore[misc]
    """Shows the rows of the tenant in scope, and all rows to the system.

    Without a scope it shows none, and reading them is an error.
    """

    use_in_migrations = False

    def get_queryset(self) -> TenantQuerySet[Any]:
        queryset: TenantQuerySet[Any] = super().get_queryset()
        scope = current_scope()
        if scope is None:
            return queryset.none()
        queryset._scope = scope  # noqa: SLF001 -- the manager and its queryset are one guard
        if scope.tenant_id is None:
            return queryset
        return queryset.filter(tenant_id=scope.tenant_id)


def claim_for_scope(row: Any) -> None:
    """Give a new row the tenant in scope; refuse one that names another tenant.

    Raises ScopeError.
    """
    scope = required_scope()
    if scope.tenant_id is None:
        if not row.tenant_id:
            raise ScopeError(f"in the system's scope a {type(row).__name__} must name its tenant")
        return
    if not row.tenant_id:
        row.tenant_id = scope.tenant_id
    if row.tenant_id != scope.tenant_id:
        raise ScopeError(
            f"a {type(row).__name__} of tenant {row.tenant_id} was written for {scope}"
        )


class TenantModel(models.Model):
    """A row that belongs to one tenant. Its migration must call `rls.protect(table)`."""

    tenant = models.ForeignKey(
        "accounts.Tenant", on_delete=models.PROTECT, db_index=False, related_name="+"
    )

    objects = TenantManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        claim_for_scope(self)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Through the guarded queryset: Django's own would delete by primary key alone."""
        del args, kwargs
        claim_for_scope(self)
        rows: TenantQuerySet[Any] = type(self).objects.filter(pk=self.pk)
        return rows.delete()
