"""Coming in and going out, as a browser without JavaScript would."""

from __future__ import annotations

import json

import pytest
from django.core.cache import cache
from django.test import Client

from tenants.accounts.models import AuditEntry, Member, Tenant, User
from tenants.accounts.services import user_create
from tenants.kernel.scope import system_scope, tenant_scope
from tests.saas.console.factories import PASSWORD, Person, owner_of

pytestmark = pytest.mark.django_db

SIGN_UP = {
    "organisation": "Harbour 港口",
    "name": "Ann",
    "email": "Ann@Example.com",
    "password1": PASSWORD,
}


def test_signing_up_makes_an_organisation_with_its_owner_and_enters_it() -> None:
    client = Client()

    answer = client.post("/accounts/signup/", SIGN_UP, follow=True)

    assert answer.redirect_chain == [("/console/", 302)]
    assert "Harbour 港口" in answer.content.decode()
    with system_scope():
        tenant = Tenant.objects.get(name="Harbour 港口")
        member = Member.objects.select_related("user").get(tenant=tenant)
        assert AuditEntry.objects.filter(tenant=tenant, action="tenant.sign_up").exists()
    assert (member.role, member.user.email, member.user.name) == ("owner", "ann@example.com", "Ann")


@pytest.mark.parametrize("path", ["/console/", "/accounts/login/"])
def test_a_forged_session_cookie_is_as_good_as_none(path: str) -> None:
    forged = '"\\000abcdefghijk"'  # a quoted cookie may spell any byte in octal

    answer = Client(raise_request_exception=False).get(
        path, headers={"cookie": f"sessionid={forged}"}
    )

    assert answer.status_code == Client().get(path).status_code


@pytest.mark.parametrize("path", ["/console/", "/accounts/login/"])
def test_a_form_in_another_character_set_is_refused(path: str) -> None:
    answer = Client(raise_request_exception=False).generic(
        "POST", path, b"email=a", content_type="application/x-www-form-urlencoded; charset=zlib"
    )

    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"organisation": "   "}, "organisation"),
        ({"email": "not an address"}, "email"),
        ({"password1": "short"}, "password1"),
        ({"password1": "1234567890123"}, "password1"),
    ],
)
def test_a_faulty_sign_up_says_which_field_is_wrong_and_makes_nothing(
    change: dict[str, str], field: str
) -> None:
    answer = Client().post("/accounts/signup/", {**SIGN_UP, **change})

    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    with system_scope():
        assert not Tenant.objects.filter(is_platform=False).exists()
        assert not User.objects.exists()


def test_an_address_signs_up_once() -> None:
    Client().post("/accounts/signup/", SIGN_UP)

    answer = Client().post("/accounts/signup/", {**SIGN_UP, "organisation": "Other"})

    assert "email" in answer.context["form"].errors
    with system_scope():
        assert not Tenant.objects.filter(name="Other").exists()


def test_signing_in_and_out() -> None:
    user_create_in_acme = owner_of("Acme").user
    client = Client()

    entered = client.post(
        "/accounts/login/",
        {"login": user_create_in_acme.email.upper(), "password": PASSWORD},
        follow=True,
    )
    left = client.post("/console/logout/", follow=True)
    after = client.get("/console/")

    assert entered.redirect_chain == [("/console/", 302)]
    assert left.redirect_chain == [("/accounts/login/", 302)]
    assert after.status_code == 302


def test_a_wrong_password_does_not_enter() -> None:
    email = owner_of("Acme").user.email
    client = Client()

    answer = client.post("/accounts/login/", {"login": email, "password": "another horse 9"})

    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert client.get("/console/").status_code == 302


def test_guessing_passwords_is_slowed_down_also_with_the_right_one_at_last() -> None:
    email = owner_of("Acme").user.email
    client = Client()
    for number in range(6):
        client.post("/accounts/login/", {"login": email, "password": f"wrong horse {number}"})

    client.post("/accounts/login/", {"login": email, "password": PASSWORD})

    assert client.get("/console/").status_code == 302


def test_one_is_sent_back_to_the_page_one_wanted() -> None:
    email = owner_of("Acme").user.email
    client = Client()

    asked = client.get("/console/jobs/job/?state=running", follow=True)
    door = asked.redirect_chain[-1][0]
    answer = client.post(door, {"login": email, "password": PASSWORD})

    assert answer.headers["location"] == "/console/jobs/job/?state=running"


def test_the_door_never_leads_to_another_site() -> None:
    email = owner_of("Acme").user.email

    answer = Client().post(
        "/accounts/login/?next=https://evil.example/", {"login": email, "password": PASSWORD}
    )

    assert answer.headers["location"] == "/console/"


def test_staff_come_to_operations() -> None:
    user_create(email="ops@example.com", password=PASSWORD, is_staff=True)

    answer = Client().post("/accounts/login/", {"login": "ops@example.com", "password": PASSWORD})

    assert answer.headers["location"] == "/operations/"


def test_somebody_without_an_organisation_is_told_so_and_not_sent_in_circles() -> None:
    user_create(email="lost@example.com", password=PASSWORD)
    client = Client()
    client.post("/accounts/login/", {"login": "lost@example.com", "password": PASSWORD})

    answer = client.get("/console/", follow=True)

    assert answer.status_code == 403
    assert "lost@example.com" in answer.content.decode()


def test_changing_the_password(owner: Person) -> None:
    sent = {"oldpassword": PASSWORD, "password1": "new horse 123", "password2": "new horse 123"}

    owner.post("/accounts/password/change/", **sent)

    with system_scope():
        assert User.objects.get(pk=owner.user.pk).check_password("new horse 123")


def test_switching_between_ones_own_organisations(owner: Person, rival: Person) -> None:
    with tenant_scope(rival.tenant.id):
        Member.objects.create(id="mem_2", user=owner.user, role="viewer")

    owner.post(f"/console/switch/{rival.tenant.id}/")

    assert "Rival" in owner.get("/console/").content.decode()
    assert owner.client.session["tenant_id"] == rival.tenant.id


def test_nobody_switches_to_an_organisation_that_is_not_theirs(
    owner: Person, rival: Person
) -> None:
    answer = owner.post(f"/console/switch/{rival.tenant.id}/")

    assert answer.status_code == 404
    assert "Rival" not in owner.get("/console/").content.decode()


@pytest.mark.parametrize("value", [0, 7, "x", [1.5, 2.5], {"a": None}, True])
def test_the_cache_gives_back_what_it_was_given_and_holds_no_pickle(value: object) -> None:
    cache.set("key", value)

    stored = cache._cache.get_client("key").get(cache.make_and_validate_key("key"))  # type: ignore[attr-defined]

    assert cache.get("key") == value
    assert json.loads(stored) == value


def test_the_cache_counts() -> None:
    cache.set("number", 1)

    assert [cache.incr("number"), cache.get("number")] == [2, 2]
