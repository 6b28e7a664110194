"""Sign-up and membership."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from tenants.accounts.actors import Actor
from tenants.accounts.models import Member, Tenant, User
from tenants.accounts.roles import Role
from tenants.accounts.selectors import memberships_of, platform_tenant, user_id_by_email
from tenants.accounts.services import (
    member_add,
    member_remove,
    member_set_role,
    platform_tenant_ensure,
    tenant_sign_up,
    user_create,
)
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import (
    PASSWORD,
    email_make,
    member_make,
    owner_of,
    tenant_make,
)

pytestmark = pytest.mark.django_db


class TestSignUp:
    def test_an_organisation_gets_an_owner_a_key_and_a_short_name(self) -> None:
        made = tenant_sign_up(
            organisation=" Ärzte & Co. ", email=" A@Example.TEST ", password=PASSWORD
        )

        assert (made.tenant.name, made.tenant.slug) == ("Ärzte & Co.", "arzte-co")
        assert (made.user.email, made.member.role) == ("a@example.test", Role.OWNER)
        assert made.user.check_password(PASSWORD)
        assert not made.user.is_staff
        with tenant_scope(made.tenant.id):
            assert len(tenant_data_key(made.tenant.id)) == 32

    def test_equal_names_get_different_short_names(self) -> None:
        slugs = [tenant_make("Acme").tenant.slug for _ in range(3)]
        strange = [
            tenant_make(name).tenant.slug for name in ("北京", "!!!", "Acme Corp", "platform")
        ]

        assert slugs == ["acme", "acme-2", "acme-3"]
        assert strange == ["org", "org-2", "acme-corp", "platform-2"]

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"organisation": ""}, "organisation"),
            ({"organisation": "x" * 121}, "organisation"),
            ({"email": "nobody"}, "email"),
            ({"email": "a b@example.test"}, "email"),
            ({"password": "short"}, "password"),
            ({"password": "1234567890123"}, "password"),
            ({"password": "password1234"}, "password"),
            ({"name": "x" * 121}, "name"),
        ],
    )
    def test_bad_input_names_its_field_and_leaves_nothing_behind(
        self, change: dict[str, str], param: str
    ) -> None:
        good = {"organisation": "Acme", "email": "a@example.test", "password": PASSWORD}

        with pytest.raises(InvalidInput) as refused:
            tenant_sign_up(**{**good, **change})

        assert refused.value.param == param
        with system_scope():
            assert not User.objects.exists()
            assert not Tenant.objects.exists()

    def test_a_taken_address_is_refused_and_leaves_nothing_behind(self) -> None:
        taken = tenant_make(has_credit=False).user.email

        with pytest.raises(Conflict) as refused:
            tenant_sign_up(organisation="Other", email=taken.upper(), password=PASSWORD)

        assert refused.value.param == "email"
        with system_scope():
            assert Tenant.objects.count() == 1

    def test_two_at_once_of_one_name_both_get_in(self) -> None:
        together(
            lambda: tenant_sign_up(organisation="Acme", email=email_make(), password=PASSWORD),
            lambda: tenant_sign_up(organisation="Acme", email=email_make(), password=PASSWORD),
        )
        with system_scope():
            assert sorted(Tenant.objects.values_list("slug", flat=True)) == ["acme", "acme-2"]

    def test_the_platform_is_one_tenant_however_often_it_is_ensured(self) -> None:
        first, again = platform_tenant_ensure(), platform_tenant_ensure()

        with system_scope():
            assert first == again == platform_tenant()
            assert first.slug == "platform"

    def test_staff_are_made_without_a_tenant(self) -> None:
        user = user_create(email="op@example.test", password=PASSWORD, is_staff=True)

        assert user.is_staff
        assert not user.is_superuser
        assert memberships_of(user) == []


class TestMembers:
    def test_a_person_may_belong_to_several_organisations(self) -> None:
        first, second = tenant_make("First"), tenant_make("Second")
        with tenant_scope(second.tenant.id):
            member_add(actor=owner_of(second), email=first.user.email, role=Role.VIEWER)

        mine = memberships_of(first.user)

        assert [(m.tenant.name, m.role) for m in mine] == [("First", "owner"), ("Second", "viewer")]

    def test_closed_organisations_are_left_out(self) -> None:
        tenant = tenant_make()
        with system_scope():
            Tenant.objects.update(status=Tenant.Status.CLOSED)

        assert memberships_of(tenant.user) == []

    def test_an_address_is_found_exactly_and_tells_only_its_id(self) -> None:
        one, other = tenant_make("One"), tenant_make("Other")
        with tenant_scope(one.tenant.id):
            assert user_id_by_email(f" {other.user.email.upper()} ") == other.user.pk
            assert user_id_by_email("%@example.test") is None
            assert not User.objects.filter(pk=other.user.pk).exists()

    def test_bad_additions_are_refused(self) -> None:
        tenant, other = tenant_make(), tenant_make("Other")
        owner = owner_of(tenant)
        with tenant_scope(tenant.tenant.id):
            with pytest.raises(NotFound):
                member_add(actor=owner, email="nobody@example.test", role=Role.VIEWER)
            with pytest.raises(InvalidInput):
                member_add(actor=owner, email=other.user.email, role="emperor")
            member_add(actor=owner, email=other.user.email, role=Role.VIEWER)
            with pytest.raises(Conflict):
                member_add(actor=owner, email=other.user.email, role=Role.ADMIN)

    def test_another_tenants_member_is_not_there(self) -> None:
        victim, thief = tenant_make("Victim"), tenant_make("Thief")
        with tenant_scope(thief.tenant.id):
            for change in (
                lambda: member_remove(actor=owner_of(thief), member_id=victim.member.id),
                lambda: member_set_role(
                    actor=owner_of(thief), member_id=victim.member.id, role=Role.VIEWER
                ),
            ):
                with pytest.raises(NotFound):
                    change()

    def test_admins_manage_all_but_owners(self) -> None:
        tenant = tenant_make()
        _, admin = member_make(tenant, Role.ADMIN)
        viewer, _ = member_make(tenant, Role.VIEWER)
        with tenant_scope(tenant.tenant.id):
            member_set_role(actor=admin, member_id=viewer.id, role=Role.DEVELOPER)
            for change in (
                lambda: member_set_role(actor=admin, member_id=viewer.id, role=Role.OWNER),
                lambda: member_set_role(
                    actor=admin, member_id=admin_member(admin), role=Role.OWNER
                ),
                lambda: member_set_role(actor=admin, member_id=tenant.member.id, role=Role.VIEWER),
                lambda: member_remove(actor=admin, member_id=tenant.member.id),
                lambda: member_add(actor=admin, email=tenant.user.email, role=Role.OWNER),
            ):
                with pytest.raises(PermissionDenied):
                    change()
            member_remove(actor=admin, member_id=viewer.id)

    @pytest.mark.parametrize("role", [Role.DEVELOPER, Role.BILLING, Role.VIEWER])
    def test_others_manage_nobody(self, role: Role) -> None:
        tenant = tenant_make()
        _, actor = member_make(tenant, role)
        with tenant_scope(tenant.tenant.id):
            for change in (
                lambda: member_add(actor=actor, email=tenant.user.email, role=Role.VIEWER),
                lambda: member_set_role(
                    actor=actor, member_id=admin_member(actor), role=Role.ADMIN
                ),
                lambda: member_remove(actor=actor, member_id=tenant.member.id),
            ):
                with pytest.raises(PermissionDenied):
                    change()

    def test_the_last_owner_stays(self) -> None:
        tenant = tenant_make()
        owner = owner_of(tenant)
        with tenant_scope(tenant.tenant.id):
            with pytest.raises(Conflict):
                member_remove(actor=owner, member_id=tenant.member.id)
            with pytest.raises(Conflict):
                member_set_role(actor=owner, member_id=tenant.member.id, role=Role.ADMIN)
            member_set_role(actor=owner, member_id=tenant.member.id, role=Role.OWNER)

    def test_another_owner_frees_the_first(self) -> None:
        tenant = tenant_make()
        second, _ = member_make(tenant, Role.OWNER)
        with tenant_scope(tenant.tenant.id):
            member_remove(actor=owner_of(tenant), member_id=tenant.member.id)
            assert list(Member.objects.values_list("id", flat=True)) == [second.id]

    @pytest.mark.parametrize("attempt", range(5))
    def test_two_owners_who_remove_each_other_at_once_leave_one(self, attempt: int) -> None:
        tenant = tenant_make()
        second, second_actor = member_make(tenant, Role.OWNER)

        def remove(actor: Actor, member_id: str):  # type: ignore[no-untyped-def]
            def act() -> None:
                with tenant_scope(tenant.tenant.id):
                    member_remove(actor=actor, member_id=member_id)

            return act

        errors = together(
            remove(owner_of(tenant), second.id), remove(second_actor, tenant.member.id)
        )

        assert [type(error) for error in errors] == [Conflict]
        with system_scope():
            assert Member.objects.filter(tenant=tenant.tenant, role=Role.OWNER).count() == 1


def admin_member(actor: Actor) -> str:
    return str(Member.objects.get(user_id=actor.id).pk)


def together(*acts) -> list[Exception]:  # type: ignore[no-untyped-def]
    """Run `acts` at the same time on connections of their own; return what they raised."""
    start, errors = threading.Barrier(len(acts)), []

    def run(act) -> None:  # type: ignore[no-untyped-def]
        start.wait(10)
        try:
            act()
        except Exception as error:  # noqa: BLE001 -- handed to the test
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return errors
