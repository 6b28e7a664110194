"""Lock one: every way to a tenant's rows is closed without a scope, and ends at the tenant's own.

Each case runs three times: without a scope it must raise; in another tenant's scope it must touch
nothing, with lock two on; and again with lock two off (the system's connection, which bypasses
row-level security), where lock one alone must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import IntegrityError, connections
from django.db.models import Count, Exists, OuterRef, Subquery

from tenants.accounts.models import ApiKey, AuditEntry, Member, Tenant, User
from tenants.accounts.roles import Role
from tenants.accounts.services import SignedUp
from tenants.kernel import scope as scope_module
from tenants.kernel.ids import new_id
from tenants.kernel.models import DataKey
from tenants.kernel.scope import Scope, ScopeError, system_scope, tenant_scope
from tenants.kernel.tenancy import TenantManager, TenantModel
from tests.tenants.accounts.factories import key_make, tenant_make

pytestmark = pytest.mark.django_db


@contextmanager
def lock_two_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tenant scopes work on the system's connection, which no policy binds."""
    with monkeypatch.context() as patch:
        patch.setattr(Scope, "alias", property(lambda self: scope_module.SYSTEM))
        yield


async def collect(rows: Any) -> list[Any]:
    return [row async for row in rows]


def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    async def call() -> Any:
        return await function(*args, **kwargs)

    return async_to_sync(call)()


def unsaved(key: ApiKey) -> ApiKey:
    """What a program would make that knows another tenant's ids."""
    return ApiKey(pk=key.pk, tenant_id=None, name="stolen", prefix=key.prefix, hash="0")


# Reads: name → (read, what a reader who may see nothing gets)
READS: dict[str, tuple[Callable[[ApiKey], Any], Any]] = {
    "list": (lambda key: list(ApiKey.objects.all()), []),
    "filter": (lambda key: list(ApiKey.objects.filter(pk=key.pk)), []),
    "exclude": (lambda key: list(ApiKey.objects.exclude(pk="x")), []),
    "first": (lambda key: ApiKey.objects.first(), None),
    "last": (lambda key: ApiKey.objects.order_by("pk").last(), None),
    "slice": (lambda key: list(ApiKey.objects.all()[:5]), []),
    "index": (lambda key: list(ApiKey.objects.order_by("pk")[0:1]), []),
    "len": (lambda key: len(ApiKey.objects.all()), 0),
    "bool": (lambda key: bool(ApiKey.objects.all()), False),
    "contains": (lambda key: ApiKey.objects.all().contains(key), False),
    "exists": (lambda key: ApiKey.objects.exists(), False),
    "count": (lambda key: ApiKey.objects.count(), 0),
    "aggregate": (lambda key: ApiKey.objects.aggregate(n=Count("pk"))["n"], 0),
    "annotate": (lambda key: list(ApiKey.objects.annotate(n=Count("pk"))), []),
    "values": (lambda key: list(ApiKey.objects.values("hash")), []),
    "values_list": (lambda key: list(ApiKey.objects.values_list("hash", flat=True)), []),
    "datetimes": (lambda key: list(ApiKey.objects.datetimes("created_at", "day")), []),
    "in_bulk": (lambda key: ApiKey.objects.in_bulk([key.pk]), {}),
    "iterator": (lambda key: list(ApiKey.objects.iterator()), []),
    "chunked iterator": (lambda key: list(ApiKey.objects.iterator(chunk_size=2)), []),
    "defer": (lambda key: list(ApiKey.objects.defer("hash")), []),
    "select_related": (lambda key: list(ApiKey.objects.select_related("tenant")), []),
    "select_for_update": (lambda key: list(ApiKey.objects.select_for_update()), []),
    "union": (lambda key: list(ApiKey.objects.all().union(ApiKey.objects.all())), []),
    "or": (lambda key: list(ApiKey.objects.all() | ApiKey.objects.filter(pk=key.pk)), []),
    "and": (lambda key: list(ApiKey.objects.all() & ApiKey.objects.filter(pk=key.pk)), []),
    "base manager": (lambda key: list(ApiKey._base_manager.all()), []),
    "default manager": (lambda key: list(ApiKey._default_manager.all()), []),
    "base manager exists": (lambda key: ApiKey._base_manager.exists(), False),
    "related manager": (lambda key: list(User(pk=key.created_by_id).memberships.all()), []),
    "subquery": (lambda key: list(ApiKey.objects.filter(pk__in=ApiKey.objects.values("pk"))), []),
    "async list": (lambda key: run(collect, ApiKey.objects.all()), []),
    "async iterator": (lambda key: run(collect, ApiKey.objects.aiterator()), []),
    "async exists": (lambda key: run(ApiKey.objects.aexists), False),
    "async count": (lambda key: run(ApiKey.objects.acount), 0),
    "async first": (lambda key: run(ApiKey.objects.afirst), None),
    "async in_bulk": (lambda key: run(ApiKey.objects.ain_bulk, [key.pk]), {}),
    "async aggregate": (lambda key: run(ApiKey.objects.aaggregate, n=Count("pk"))["n"], 0),
}

# Reads of one row: a reader who may not see it gets DoesNotExist
GETS: dict[str, Callable[[ApiKey], Any]] = {
    "get": lambda key: ApiKey.objects.get(pk=key.pk),
    "base manager get": lambda key: ApiKey._base_manager.get(pk=key.pk),
    "earliest": lambda key: ApiKey.objects.earliest("created_at"),
    "latest": lambda key: ApiKey.objects.latest("created_at"),
    "refresh": lambda key: key.refresh_from_db(),
    "async get": lambda key: run(ApiKey.objects.aget, pk=key.pk),
    "async refresh": lambda key: run(key.arefresh_from_db),
}

# Changes: they touch no row of another tenant
CHANGES: dict[str, Callable[[ApiKey], Any]] = {
    "update": lambda key: ApiKey.objects.update(name="stolen"),
    "filtered update": lambda key: ApiKey.objects.filter(pk=key.pk).update(name="stolen"),
    "base manager update": lambda key: ApiKey._base_manager.update(name="stolen"),
    "delete": lambda key: ApiKey.objects.all().delete(),
    "base manager delete": lambda key: ApiKey._base_manager.all().delete(),
    "raw delete": lambda key: ApiKey.objects.all()._raw_delete("default"),
    "bulk_update": lambda key: ApiKey.objects.bulk_update([renamed(key)], ["name"]),
    "forged delete": lambda key: unsaved(key).delete(),
    "async update": lambda key: run(ApiKey.objects.aupdate, name="stolen"),
    "async delete": lambda key: run(ApiKey.objects.all().adelete),
}

# Writes under another tenant's primary key or name: refused, one way or another
FORGERIES: dict[str, Callable[[ApiKey], Any]] = {
    "save another's row": lambda key: renamed(key).save(),
    "save another's fields": lambda key: renamed(key).save(update_fields=["name"]),
    "delete another's row": lambda key: key.delete(),
    "save over its key": lambda key: unsaved(key).save(),
    "create for another": lambda key: ApiKey.objects.create(**fields_for(key.tenant_id)),
    "create through base": lambda key: ApiKey._base_manager.create(**fields_for(key.tenant_id)),
    "bulk_create for another": lambda key: ApiKey.objects.bulk_create(
        [ApiKey(**fields_for(key.tenant_id))]
    ),
    "get_or_create for another": lambda key: ApiKey.objects.get_or_create(
        pk=new_id("key_"), defaults=fields_for(key.tenant_id, pk=None)
    ),
    "update_or_create for another": lambda key: ApiKey.objects.update_or_create(
        pk=new_id("key_"), defaults=fields_for(key.tenant_id, pk=None)
    ),
    "update_or_create over it": lambda key: ApiKey.objects.update_or_create(
        pk=key.pk, defaults={"name": "stolen", "prefix": key.prefix, "hash": "0"}
    ),
    "upsert over it": lambda key: ApiKey.objects.bulk_create(
        [unsaved(key)],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["name"],
    ),
    "give a row away": lambda key: ApiKey.objects.update(tenant_id=key.tenant_id),
    "give a row away by object": lambda key: ApiKey.objects.update(tenant=Tenant(pk=key.tenant_id)),
    "async create": lambda key: run(ApiKey.objects.acreate, **fields_for(key.tenant_id)),
    "async save": lambda key: run(renamed(key).asave),
}

ALL = {**{name: read for name, (read, _) in READS.items()}, **GETS, **CHANGES, **FORGERIES}


def renamed(key: ApiKey) -> ApiKey:
    key.name = "stolen"
    return key


def fields_for(tenant_id: str, pk: str | None = "new") -> dict[str, Any]:
    made = {
        "tenant_id": tenant_id,
        "name": "planted",
        "prefix": new_id("")[:12],
        "hash": "0",
        "role": Role.OWNER,
    }
    return made if pk is None else {"id": new_id("key_"), **made}


@pytest.fixture
def victim() -> ApiKey:
    """A key of tenant A, as a program in another scope might hold it."""
    return key_make(tenant_make("Victim")).row


@pytest.fixture
def thief() -> SignedUp:
    return tenant_make("Thief")


def untouched(key: ApiKey) -> bool:
    with system_scope():
        rows = list(ApiKey.objects.filter(pk=key.pk).values_list("name", "tenant_id"))
        planted = ApiKey.objects.filter(name="planted").exists()
    return rows == [("a key", key.tenant_id)] and not planted


@pytest.mark.parametrize("name", ALL)
def test_without_a_scope_everything_is_refused(name: str, victim: ApiKey) -> None:
    with pytest.raises(ScopeError):
        ALL[name](victim)
    assert untouched(victim)


@pytest.mark.parametrize("locks", ["both locks", "lock one alone"])
@pytest.mark.parametrize("name", READS)
def test_another_tenant_reads_nothing(
    name: str, locks: str, victim: ApiKey, thief: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, nothing = READS[name]
    with _locks(locks, monkeypatch), tenant_scope(thief.tenant.id):
        assert read(victim) == nothing


@pytest.mark.parametrize("locks", ["both locks", "lock one alone"])
@pytest.mark.parametrize("name", GETS)
def test_another_tenant_gets_no_row(
    name: str, locks: str, victim: ApiKey, thief: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _locks(locks, monkeypatch), tenant_scope(thief.tenant.id):
        with pytest.raises(ApiKey.DoesNotExist):
            GETS[name](victim)


@pytest.mark.parametrize("locks", ["both locks", "lock one alone"])
@pytest.mark.parametrize("name", CHANGES)
def test_another_tenant_changes_nothing(
    name: str, locks: str, victim: ApiKey, thief: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _locks(locks, monkeypatch), tenant_scope(thief.tenant.id):
        CHANGES[name](victim)
    assert untouched(victim)


@pytest.mark.parametrize("locks", ["both locks", "lock one alone"])
@pytest.mark.parametrize("name", FORGERIES)
def test_another_tenant_writes_nothing_in_this_ones_name(
    name: str, locks: str, victim: ApiKey, thief: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _locks(locks, monkeypatch):
        with pytest.raises((ScopeError, IntegrityError, ApiKey.DoesNotExist)):
            with tenant_scope(thief.tenant.id):
                FORGERIES[name](victim)
    assert untouched(victim)


def _locks(which: str, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    return lock_two_off(monkeypatch) if which == "lock one alone" else nullcontext()


def test_lock_two_is_truly_off_in_these_tests(
    victim: ApiKey, thief: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: past lock one, the switched-off lock two shows the row."""
    with lock_two_off(monkeypatch), tenant_scope(thief.tenant.id):
        with connections[scope_module.SYSTEM].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM api_key WHERE id = %s", [victim.pk])
            assert cursor.fetchone()[0] == 1


def test_the_owner_itself_reads_and_writes_in_its_scope(victim: ApiKey) -> None:
    with tenant_scope(victim.tenant_id):
        assert [name for name, (read, nothing) in READS.items() if read(victim) == nothing] == []
        for get in GETS.values():
            get(victim)
        assert ApiKey.objects.update(name="renamed") == 1
        assert victim.delete() == (1, {"accounts.ApiKey": 1})


def test_a_queryset_serves_only_the_scope_it_was_made_in(victim: ApiKey, thief: SignedUp) -> None:
    outside = ApiKey.objects.all()
    with system_scope():
        of_system = ApiKey.objects.all()
        lazy = ApiKey.objects.iterator()
    with tenant_scope(victim.tenant_id):
        of_victim = ApiKey.objects.all()
    with tenant_scope(thief.tenant.id):
        for queryset in (outside, of_system, of_victim):
            for use in (list, len, lambda q: q.count(), lambda q: q.exists(), lambda q: q.delete()):
                with pytest.raises(ScopeError):
                    use(queryset)
            with pytest.raises(ScopeError):
                list(ApiKey.objects.filter(pk__in=queryset))
        with pytest.raises(ScopeError):
            list(lazy)
        for combine in (
            lambda q: q | ApiKey.objects.all(),
            lambda q: ApiKey.objects.all() | q,
            lambda q: q & ApiKey.objects.all(),
            lambda q: ApiKey.objects.all().union(q),
            lambda q: ApiKey.objects.all().difference(q),
        ):
            with pytest.raises(ScopeError):
                combine(of_victim)


def test_a_tenants_queryset_stays_on_its_own_connection(victim: ApiKey, thief: SignedUp) -> None:
    with tenant_scope(thief.tenant.id):
        for alias in ("system", "owner"):
            with pytest.raises(ScopeError):
                list(ApiKey.objects.using(alias))


def test_inner_queries_of_another_scope_see_nothing(victim: ApiKey, thief: SignedUp) -> None:
    """`Exists` and `Subquery` take a query apart before lock one can look: lock two holds."""
    with tenant_scope(victim.tenant_id):
        inner = ApiKey.objects.filter(name="a key")
    with tenant_scope(thief.tenant.id):
        found = Member.objects.filter(Exists(inner.filter(tenant_id=OuterRef("tenant_id"))))
        assert not found.exists()
        assert Member.objects.annotate(h=Subquery(inner.values("hash")[:1])).get().h is None


def test_raw_sql_is_refused_without_a_scope_and_bound_by_lock_two_in_one(
    victim: ApiKey, thief: SignedUp
) -> None:
    with pytest.raises(ScopeError):
        ApiKey.objects.raw("SELECT * FROM api_key")
    with tenant_scope(thief.tenant.id):
        rows = ApiKey.objects.raw("SELECT * FROM api_key")
        assert list(rows) == []
    with tenant_scope(victim.tenant_id):
        rows = ApiKey.objects.raw("SELECT * FROM api_key")
    assert list(rows) == []  # evaluated after its scope


def test_the_system_sees_all_and_must_name_the_tenant(victim: ApiKey, thief: SignedUp) -> None:
    with system_scope():
        assert Member.objects.count() == 2
        with pytest.raises(ScopeError, match="must name its tenant"):
            DataKey.objects.create(id="dk_x", kek_id="k")
        with pytest.raises(ScopeError, match="moves"):
            ApiKey.objects.filter(pk=victim.pk).update(tenant=thief.tenant)


def test_a_new_row_takes_the_tenant_in_scope(thief: SignedUp) -> None:
    with tenant_scope(thief.tenant.id):
        row = ApiKey.objects.create(**fields_for(""))
        (bulk,) = ApiKey.objects.bulk_create([ApiKey(**fields_for(""))])
    assert row.tenant_id == bulk.tenant_id == thief.tenant.id


def test_prefetching_and_following_keys_stay_in_the_scope(thief: SignedUp) -> None:
    with tenant_scope(thief.tenant.id):
        member = Member.objects.get()
        assert list(member.user.memberships.all()) == [member]
        (user,) = User.objects.prefetch_related("memberships")
        assert [m.pk for m in user.memberships.all()] == [member.pk]
        entry = AuditEntry.objects.select_related("tenant").get(action="tenant.sign_up")
        assert entry.tenant.pk == thief.tenant.id
    member = Member(pk=member.pk, tenant_id=member.tenant_id, user_id=member.user_id)
    with pytest.raises(User.DoesNotExist):
        _ = member.user


@pytest.mark.parametrize(
    "model", [m for m in apps.get_models() if issubclass(m, TenantModel)], ids=lambda m: m.__name__
)
def test_every_tenants_model_is_guarded_whichever_manager_is_taken(
    model: type[TenantModel],
) -> None:
    assert type(model._default_manager) is TenantManager
    assert isinstance(model._base_manager, TenantManager)
    assert all(isinstance(manager, TenantManager) for manager in model._meta.managers)
    assert not model._meta.get_field("tenant").null
