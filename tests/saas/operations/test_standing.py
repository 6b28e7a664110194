"""A tenant's standing at operations: its buttons, and who may press them."""

from __future__ import annotations

import pytest

from tenants.accounts.models import AuditEntry, Tenant
from tenants.kernel.scope import system_scope
from tests.saas.console.factories import Person

pytestmark = pytest.mark.django_db


def page(person: Person) -> str:
    return f"/operations/accounts/tenant/{person.tenant.id}/"


def status_of(person: Person) -> str:
    with system_scope():
        return Tenant.objects.get(pk=person.tenant.id).status


def offered(operator: Person, person: Person) -> set[str]:
    shown = operator.get(f"{page(person)}change/").content.decode()
    return {act for act in ("suspend", "reactivate", "close") if f"do/{act}/" in shown}


def test_suspended_reactivated_and_closed_with_a_reason(owner: Person, operator: Person) -> None:
    assert offered(operator, owner) == {"suspend", "close"}
    operator.post(f"{page(owner)}do/suspend/", reason="it mines coins")
    assert (status_of(owner), offered(operator, owner)) == ("suspended", {"reactivate", "close"})
    operator.post(f"{page(owner)}do/reactivate/", reason="it was a test")
    assert status_of(owner) == "active"
    operator.post(f"{page(owner)}do/close/", reason="as they asked")
    assert (status_of(owner), offered(operator, owner)) == ("closed", set())
    with system_scope():
        entries = AuditEntry.objects.filter(target=owner.tenant.id, actor_kind="operator")
        told = list(entries.order_by("id").values_list("action", "data__reason"))
    assert told == [
        ("tenant.suspend", "it mines coins"),
        ("tenant.reactivate", "it was a test"),
        ("tenant.close", "as they asked"),
    ]


def test_without_a_reason_nothing_happens(owner: Person, operator: Person) -> None:
    answer = operator.post(f"{page(owner)}do/suspend/", reason=" ")
    assert answer.status_code == 200  # the form again
    assert status_of(owner) == "active"


def test_the_platform_itself_has_no_buttons(operator: Person) -> None:
    assert offered(operator, operator) == set()


def test_a_customer_cannot(owner: Person) -> None:
    assert owner.post(f"{page(owner)}do/reactivate/", reason="please").status_code in {302, 403}
    assert status_of(owner) == "active"
