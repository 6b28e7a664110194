"""Sign-up, API keys and members over HTTP."""

from __future__ import annotations

import pytest

from tenants.accounts.roles import Role
from tenants.kernel.ids import new_id
from tests.saas.api.factories import PASSWORD, Caller, tenant_caller

pytestmark = pytest.mark.django_db


def sign_up_body(**changes: object) -> dict[str, object]:
    email = f"{new_id('x')}@example.com"
    return {"organisation": "Acme", "email": email, "password": PASSWORD} | changes


def test_a_newcomer_signs_up_and_the_key_works_at_once(nobody: Caller) -> None:
    reply = nobody.post("/v1/sign_up", sign_up_body(is_partner=True))

    assert reply.status == 201
    key = reply.json["api_key"]
    newcomer = Caller(key["secret"])
    assert newcomer.get("/v1/files").json["data"] == []
    assert [m["role"] for m in newcomer.get("/v1/members").json["data"]] == ["owner"]
    assert reply.json["tenant"]["is_partner"] is True
    assert newcomer.post("/v1/api_keys", {"name": "second"}).status == 201


def test_a_taken_address_is_a_conflict_and_makes_no_tenant(
    nobody: Caller, operator: Caller
) -> None:
    body = sign_up_body()
    assert nobody.post("/v1/sign_up", body).status == 201
    before = len(operator.get("/operator/v1/tenants").json["data"])

    reply = nobody.post("/v1/sign_up", body | {"organisation": "Another"})

    assert reply.status == 409
    assert reply.error["param"] == "email"
    assert len(operator.get("/operator/v1/tenants").json["data"]) == before


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"password": "short"}, "password"),
        ({"password": "1234567890123"}, "password"),
        ({"email": "not an address"}, "email"),
        ({"organisation": "  "}, "organisation"),
        ({"organisation": "x" * 121}, "organisation"),
        ({"email": None}, "email"),
    ],
)
def test_an_unusable_sign_up_is_refused(
    nobody: Caller, change: dict[str, object], param: str
) -> None:
    reply = nobody.post("/v1/sign_up", sign_up_body(**change))

    assert reply.status == 400
    assert reply.error["param"] == param


def test_a_key_sent_along_does_not_matter_at_sign_up(api: Caller) -> None:
    assert api.post("/v1/sign_up", sign_up_body()).status == 201
    assert Caller("bw-nonsense").post("/v1/sign_up", sign_up_body()).status == 201


def test_a_secret_is_shown_once(api: Caller) -> None:
    made = api.post("/v1/api_keys", {"name": "ci", "role": "viewer"}).json

    assert Caller(made["secret"]).get("/v1/files").status == 200
    for answer in (api.get(f"/v1/api_keys/{made['id']}"), api.get("/v1/api_keys")):
        assert made["secret"] not in answer.content.decode()


def test_a_rotated_key_lives_on_for_the_overlap_only(api: Caller) -> None:
    old = api.post("/v1/api_keys", {"name": "ci"}).json
    overlapping = api.post(f"/v1/api_keys/{old['id']}/rotate", {"overlap_s": 3600}).json
    assert Caller(old["secret"]).get("/v1/files").status == 200

    at_once = api.post(f"/v1/api_keys/{overlapping['id']}/rotate").json

    assert Caller(overlapping["secret"]).get("/v1/files").status == 401
    assert Caller(at_once["secret"]).get("/v1/files").status == 200


def test_a_revoked_key_stays_listed_and_cannot_be_rotated(api: Caller) -> None:
    made = api.post("/v1/api_keys", {"name": "ci"}).json

    assert api.delete(f"/v1/api_keys/{made['id']}").json["revoked_at"] is not None
    assert api.post(f"/v1/api_keys/{made['id']}/rotate").status == 409
    assert made["id"] in {key["id"] for key in api.get("/v1/api_keys").json["data"]}


def test_a_key_hands_out_no_more_than_it_has(db: None) -> None:
    admin = tenant_caller(role=Role.ADMIN)
    developer = tenant_caller(role=Role.DEVELOPER)

    assert admin.post("/v1/api_keys", {"name": "x", "role": "owner"}).status == 403
    assert developer.post("/v1/api_keys", {"name": "x", "role": "viewer"}).status == 403


def test_a_key_from_another_address_is_refused(api: Caller) -> None:
    made = api.post("/v1/api_keys", {"name": "office", "allowed_ips": ["203.0.113.9"]}).json

    reply = Caller(made["secret"]).get("/v1/files")

    assert reply.status == 403
    assert reply.error["code"] == "ip_not_allowed"


def test_members_come_change_and_go(api: Caller, nobody: Caller) -> None:
    friend = sign_up_body()
    nobody.post("/v1/sign_up", friend)

    added = api.post("/v1/members", {"email": friend["email"], "role": "viewer"})
    changed = api.post(f"/v1/members/{added.json['id']}", {"role": "developer"})
    found = api.get(f"/v1/members/{added.json['id']}")
    again = api.post("/v1/members", {"email": friend["email"], "role": "viewer"})
    removed = api.delete(f"/v1/members/{added.json['id']}")

    assert (added.status, changed.json["role"], again.status) == (201, "developer", 409)
    assert found.json["email"] == friend["email"]
    assert removed.json["deleted"] is True
    assert api.get(f"/v1/members/{added.json['id']}").status == 404


def test_the_last_owner_stays(api: Caller) -> None:
    owner = api.get("/v1/members").json["data"][0]["id"]

    assert api.delete(f"/v1/members/{owner}").status == 409
    assert api.post(f"/v1/members/{owner}", {"role": "viewer"}).status == 409


def test_someone_without_an_account_cannot_be_added(api: Caller) -> None:
    reply = api.post("/v1/members", {"email": "nobody@example.com", "role": "viewer"})

    assert reply.status == 404
    assert reply.error["param"] == "email"
