"""API keys: their form, and who stands behind one."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.accounts.actors import Actor
from tenants.accounts.api_keys import fresh_key, key_hash, key_matches, key_prefix
from tenants.accounts.models import ApiKey, Tenant
from tenants.accounts.roles import GRANTS, Role
from tenants.accounts.selectors import actor_by_api_key
from tenants.accounts.services import (
    IssuedKey,
    api_key_create,
    api_key_revoke,
    api_key_rotate,
    api_key_touch,
)
from tenants.kernel.clock import now
from tenants.kernel.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import key_make, member_make, owner_of, tenant_make

HOUR = dt.timedelta(hours=1)


def test_a_key_is_found_by_its_prefix_and_matched_by_its_hash() -> None:
    key = fresh_key()

    assert key.secret.startswith(f"bw-{key.prefix}-")
    assert key_prefix(key.secret) == key.prefix
    assert key.hash == hashlib.sha256(key.secret.encode()).hexdigest()
    assert key_matches(key.secret, key.hash)
    assert not key_matches(key.secret + "x", key.hash)


def test_keys_do_not_repeat() -> None:
    keys = [fresh_key() for _ in range(500)]

    assert len({key.prefix for key in keys}) == len({key.secret for key in keys}) == 500


@given(st.text(max_size=80))
def test_what_is_no_key_of_ours_has_no_prefix(text: str) -> None:
    found = key_prefix(text)

    assert found is None or text.startswith(f"bw-{found}-")


@pytest.mark.parametrize(
    "text", ["", "bw-", "sk-abcdefghijkl-x", "bw-short-x", "bw-abcdefghijkl", "bw-abcdefghijkl-"]
)
def test_near_misses_are_no_keys(text: str) -> None:
    assert key_prefix(text) is None


@pytest.mark.django_db
def test_the_secret_is_stored_nowhere() -> None:
    issued = key_make(tenant_make())
    with system_scope():
        stored = ApiKey.objects.filter(pk=issued.row.pk).values().get()

    assert issued.secret not in str(stored)
    assert stored["hash"] == key_hash(issued.secret)


@pytest.mark.django_db
class TestWhoStandsBehindAKey:
    def test_a_good_key_acts_for_its_tenant_with_its_roles_rights(self) -> None:
        tenant = tenant_make()
        issued = key_make(tenant, role=Role.DEVELOPER)

        actor = actor_by_api_key(issued.secret)

        assert (actor.tenant_id, actor.id) == (tenant.tenant.id, issued.row.id)
        assert actor.may == GRANTS[Role.DEVELOPER]

    def test_scopes_narrow_a_key(self) -> None:
        issued = key_make(tenant_make(), scopes=["files.read"])

        assert actor_by_api_key(issued.secret).may == {"files.read"}

    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "nonsense",
            "sk-abc",
            "bw-aaaaaaaaaaaa-unknown",
            "bw-aaaaaaaaaaa\x00-x",
            "bw-äöüäöüäöüäöü-x",
        ],
    )
    def test_nonsense_is_nobody(self, secret: str) -> None:
        with pytest.raises(Unauthenticated) as refused:
            actor_by_api_key(secret)
        assert refused.value.code == "invalid_api_key"

    def test_a_wrong_secret_under_a_real_prefix_is_nobody(self) -> None:
        issued = key_make(tenant_make())

        with pytest.raises(Unauthenticated) as refused:
            actor_by_api_key(issued.secret[:-1] + ("a" if issued.secret[-1] != "a" else "b"))
        assert issued.secret not in refused.value.message

    def test_a_revoked_key_is_refused_at_once(self) -> None:
        tenant = tenant_make()
        issued = key_make(tenant)
        with tenant_scope(tenant.tenant.id):
            api_key_revoke(actor=owner_of(tenant), api_key_id=issued.row.id)

        with pytest.raises(Unauthenticated) as refused:
            actor_by_api_key(issued.secret)
        assert refused.value.code == "revoked_api_key"

    def test_an_expired_key_is_refused(self) -> None:
        issued = key_make(tenant_make(), expires_at=now() + HOUR)
        actor_by_api_key(issued.secret)
        with system_scope():
            ApiKey.objects.filter(pk=issued.row.pk).update(expires_at=now() - HOUR)

        with pytest.raises(Unauthenticated) as refused:
            actor_by_api_key(issued.secret)
        assert refused.value.code == "expired_api_key"

    def test_a_closed_tenants_key_is_refused(self) -> None:
        tenant = tenant_make()
        issued = key_make(tenant)
        with system_scope():
            Tenant.objects.filter(pk=tenant.tenant.id).update(status=Tenant.Status.CLOSED)

        with pytest.raises(PermissionDenied) as refused:
            actor_by_api_key(issued.secret)
        assert refused.value.code == "tenant_closed"

    @pytest.mark.parametrize(
        ("ip", "is_let_in"),
        [
            ("192.0.2.7", True),
            ("::ffff:192.0.2.7", True),
            ("2001:db8::1", True),
            ("2001:0db8:0:0:0:0:0:1", True),
            ("192.0.2.8", False),
            ("nonsense", False),
            ("", False),
            (None, False),
        ],
    )
    def test_an_allow_list_compares_addresses_not_spellings(
        self, ip: str | None, is_let_in: bool
    ) -> None:
        issued = key_make(tenant_make(), allowed_ips=["192.0.2.7", "2001:DB8:0::1"])

        if is_let_in:
            actor_by_api_key(issued.secret, ip=ip)
            return
        with pytest.raises(PermissionDenied) as refused:
            actor_by_api_key(issued.secret, ip=ip)
        assert refused.value.code == "ip_not_allowed"


@pytest.mark.django_db
class TestKeysOfATenant:
    def test_another_tenants_key_is_not_there(self) -> None:
        victim, thief = tenant_make("Victim"), tenant_make("Thief")
        issued = key_make(victim)

        with tenant_scope(thief.tenant.id):
            for change in (
                lambda: api_key_revoke(actor=owner_of(thief), api_key_id=issued.row.id),
                lambda: api_key_rotate(
                    actor=owner_of(thief), api_key_id=issued.row.id, overlap=HOUR
                ),
            ):
                with pytest.raises(NotFound):
                    change()
        actor_by_api_key(issued.secret)

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"role": "emperor"}, "role"),
            ({"scopes": ["everything"]}, "scopes"),
            ({"expires_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "expires_at"),
            ({"name": " "}, "name"),
            ({"name": "n" * 121}, "name"),
            ({"allowed_ips": ["not an address"]}, "allowed_ips"),
            ({"allowed_ips": ["192.0.2.0/24"]}, "allowed_ips"),
        ],
    )
    def test_bad_input_names_its_field(self, fields: dict[str, object], param: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            key_make(tenant_make(), **fields)
        assert refused.value.param == param

    def test_revoking_twice_changes_nothing(self) -> None:
        tenant = tenant_make()
        issued = key_make(tenant)
        with tenant_scope(tenant.tenant.id):
            first = api_key_revoke(actor=owner_of(tenant), api_key_id=issued.row.id).revoked_at
            again = api_key_revoke(actor=owner_of(tenant), api_key_id=issued.row.id).revoked_at
        assert first == again

    def test_nobody_issues_more_than_they_may(self) -> None:
        """Through every pair of roles: only those within one's own rights; owners by owners."""
        tenant = tenant_make()
        for mine, theirs in itertools.product([Role.ADMIN, Role.DEVELOPER, Role.VIEWER], Role):
            _, actor = member_make(tenant, mine)
            is_allowed = mine is Role.ADMIN and theirs is not Role.OWNER
            with tenant_scope(tenant.tenant.id):
                if is_allowed:
                    key_of(actor, role=theirs)
                    continue
                with pytest.raises(PermissionDenied):
                    key_of(actor, role=theirs)

    def test_a_narrow_key_issues_no_wider_one(self) -> None:
        tenant = tenant_make()
        narrow = key_make(tenant, role=Role.ADMIN, scopes=["keys.write", "files.read"])
        actor = actor_by_api_key(narrow.secret)

        with tenant_scope(tenant.tenant.id):
            for wider in (
                {"role": Role.ADMIN},
                {"role": Role.VIEWER},
                {"role": Role.ADMIN, "scopes": ["keys.write", "billing.read"]},
            ):
                with pytest.raises(PermissionDenied):
                    key_of(actor, **wider)
            key_of(actor, role=Role.ADMIN, scopes=["files.read"])

    def test_a_successor_has_the_same_rights_and_length_of_life(self) -> None:
        tenant = tenant_make()
        old = key_make(
            tenant,
            role=Role.VIEWER,
            scopes=["files.read"],
            allowed_ips=["192.0.2.7"],
            expires_at=now() + 24 * HOUR,
        )
        with tenant_scope(tenant.tenant.id):
            new = api_key_rotate(actor=owner_of(tenant), api_key_id=old.row.id, overlap=HOUR)
            old_row = ApiKey.objects.get(pk=old.row.pk)

        row = new.row
        assert (row.role, row.scopes, row.allowed_ips) == ("viewer", ["files.read"], ["192.0.2.7"])
        assert row.expires_at is not None
        assert abs(row.expires_at - now() - 24 * HOUR) < dt.timedelta(minutes=1)
        assert abs(old_row.expires_at - now() - HOUR) < dt.timedelta(minutes=1)
        for secret in (old.secret, new.secret):
            actor_by_api_key(secret, ip="192.0.2.7")

    def test_rotation_never_lengthens_the_old_keys_life(self) -> None:
        tenant = tenant_make()
        old = key_make(tenant, expires_at=now() + HOUR)
        with tenant_scope(tenant.tenant.id):
            api_key_rotate(actor=owner_of(tenant), api_key_id=old.row.id, overlap=100 * HOUR)
            assert ApiKey.objects.get(pk=old.row.pk).expires_at == old.row.expires_at

    def test_a_key_that_has_ended_is_not_rotated(self) -> None:
        tenant = tenant_make()
        expired, revoked = key_make(tenant, expires_at=now() + HOUR), key_make(tenant)
        with tenant_scope(tenant.tenant.id):
            ApiKey.objects.filter(pk=expired.row.pk).update(expires_at=now() - HOUR)
            api_key_revoke(actor=owner_of(tenant), api_key_id=revoked.row.id)
            for ended in (expired, revoked):
                with pytest.raises(Conflict):
                    api_key_rotate(actor=owner_of(tenant), api_key_id=ended.row.id, overlap=HOUR)

    def test_an_overlap_is_not_negative(self) -> None:
        tenant = tenant_make()
        key = key_make(tenant)
        with tenant_scope(tenant.tenant.id), pytest.raises(InvalidInput):
            api_key_rotate(actor=owner_of(tenant), api_key_id=key.row.id, overlap=-HOUR)

    def test_an_admin_does_not_rotate_an_owners_key(self) -> None:
        """Or it would be handed an owner's secret."""
        tenant = tenant_make()
        owners = key_make(tenant, role=Role.OWNER)
        _, admin = member_make(tenant, Role.ADMIN)

        with tenant_scope(tenant.tenant.id), pytest.raises(PermissionDenied):
            api_key_rotate(actor=admin, api_key_id=owners.row.id, overlap=HOUR)

    def test_use_is_remembered_to_the_minute(self) -> None:
        issued = key_make(tenant_make())
        with system_scope():
            api_key_touch(api_key_id=issued.row.id)
            first = ApiKey.objects.get(pk=issued.row.pk).last_used_at
            api_key_touch(api_key_id=issued.row.id)
            assert ApiKey.objects.get(pk=issued.row.pk).last_used_at == first
            ApiKey.objects.update(last_used_at=now() - HOUR)
            api_key_touch(api_key_id=issued.row.id)
            assert ApiKey.objects.get(pk=issued.row.pk).last_used_at > now() - HOUR


def key_of(actor: Actor, **fields: Any) -> IssuedKey:
    return api_key_create(actor=actor, name="k", **fields)
