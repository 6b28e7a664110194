"""Who may do what: pure tables."""

from __future__ import annotations

import pytest

from tenants.accounts.actors import Actor, ActorKind, permissions, system_actor
from tenants.accounts.roles import GRANTS, SCOPES, Role
from tenants.kernel.errors import PermissionDenied


def actor(role: Role, *scopes: str) -> Actor:
    may = permissions(role, scopes)
    return Actor(kind=ActorKind.API_KEY, id="key_1", tenant_id="ten_1", may=may, role=role)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.OWNER, {"members.write", "billing.write", "jobs.write", "keys.write"}, set()),
        (Role.ADMIN, {"members.write", "billing.write", "jobs.write"}, set()),
        (
            Role.DEVELOPER,
            {"jobs.write", "files.write", "inference"},
            {"keys.write", "billing.read"},
        ),
        (Role.BILLING, {"billing.write", "costs.read"}, {"jobs.write", "inference", "keys.read"}),
        (Role.VIEWER, {"jobs.read", "files.read"}, {"jobs.write", "inference", "audit.read"}),
    ],
)
def test_each_role_may_its_part(role: Role, may: set[str], may_not: set[str]) -> None:
    for permission in may:
        actor(role).require(permission)
    for permission in may_not:
        with pytest.raises(PermissionDenied) as refused:
            actor(role).require(permission)
        assert refused.value.code == "missing_permission"
        assert permission in refused.value.message


def test_every_role_is_in_the_table_and_none_may_more_than_the_owner() -> None:
    assert set(GRANTS) == set(Role)
    assert all(granted <= GRANTS[Role.OWNER] for granted in GRANTS.values())
    assert GRANTS[Role.OWNER] == SCOPES


def test_scopes_narrow_and_never_widen() -> None:
    assert permissions(Role.DEVELOPER, ["inference"]) == {"inference"}
    assert permissions(Role.VIEWER, ["inference", "files.read"]) == {"files.read"}
    assert permissions(Role.VIEWER, ["inference"]) == frozenset()
    assert permissions(Role.VIEWER) == GRANTS[Role.VIEWER]


def test_the_system_and_operators_may_everything() -> None:
    system_actor("ten_1").require("anything.at.all")
    Actor(kind=ActorKind.OPERATOR, id="user_1", tenant_id="ten_1").require("anything.at.all")
    with pytest.raises(PermissionDenied):
        Actor(kind=ActorKind.MEMBER, id="user_1", tenant_id="ten_1").require("files.read")


def test_an_operators_key_may_what_its_role_and_scopes_allow() -> None:
    key = Actor(
        kind=ActorKind.OPERATOR,
        id="key_1",
        tenant_id="ten_1",
        may=permissions(Role.ADMIN, ["billing.read"]),
        role=Role.ADMIN,
    )

    key.require("billing.read")
    with pytest.raises(PermissionDenied):
        key.require("billing.write")
