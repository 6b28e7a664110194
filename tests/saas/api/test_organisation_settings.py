"""What an organisation decides for all its work: by who may, kept, and written down."""

from __future__ import annotations

import pytest

from tenants.accounts.models import AuditEntry, Tenant
from tenants.accounts.roles import Role
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import Caller, tenant_caller

pytestmark = pytest.mark.django_db

PATH = "/v1/organization/settings"


def shares(api: Caller) -> bool:
    assert api.tenant is not None
    with system_scope():
        return bool(Tenant.objects.get(pk=api.tenant.id).shares_passes)


def test_sharing_is_off_until_it_is_asked_for(api: Caller) -> None:
    assert api.get(PATH).json["shares_passes"] is False

    assert api.post(PATH, {"shares_passes": True}).json["shares_passes"] is True

    assert shares(api)
    assert api.get(PATH).json == {"object": "organization.settings", "shares_passes": True}
    api.post(PATH, {"shares_passes": True})
    with system_scope():
        assert AuditEntry.objects.filter(action="tenant.sharing_set").count() == 1


def test_only_administrators_decide(api: Caller) -> None:
    developer = tenant_caller(role=Role.DEVELOPER)

    assert developer.post(PATH, {"shares_passes": True}).status == 403

    assert not shares(api)
    assert api.post(PATH, {}).json["error"]["param"] == "shares_passes"
