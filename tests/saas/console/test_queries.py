"""A page costs the same number of queries however many rows it shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tenants.accounts.roles import Role
from tenants.accounts.services import api_key_create
from tenants.kernel.scope import tenant_scope
from tests.saas.api.factories import Caller, chats, usage_make, version_make
from tests.saas.console.factories import Person, colleague_of, event_add, job_make
from workers.assets.models import BaseModel
from workers.assets.services import file_create
from workers.serving.services import deployment_create

pytestmark = pytest.mark.django_db

BASELINE = 16  # queries of any list: session, user, memberships, scope, count, rows, and a margin
FIRST_PAGE = 24  # looks at everything: work, usage, and money


def fill(owner: Person, rows: int) -> None:
    """Some of everything that a list shows."""
    caller = Caller(None, owner.tenant, owner.actor)
    for number in range(rows):
        version = version_make(caller, suffix=f"v{number}")
        event_add(job_make(owner))
        colleague_of(owner, Role.VIEWER)
        usage_make(caller)
        with tenant_scope(owner.tenant.id):
            chunks = [chats() + f"{number}".encode()]
            file_create(actor=owner.actor, filename="a.jsonl", purpose="fine-tune", chunks=chunks)
            api_key_create(actor=owner.actor, name=f"k{number}")
            deployment_create(actor=owner.actor, model=version.name)


def queries(call: Callable[[], object]) -> int:
    with CaptureQueriesContext(connections["default"]) as own:
        with CaptureQueriesContext(connections["system"]) as system:
            call()
    return len(own) + len(system)


LISTS = [
    "/console/", "/console/usage/", "/console/assets/file/", "/console/jobs/job/",
    "/console/assets/modelversion/", "/console/serving/deployment/", "/console/accounts/apikey/",
    "/console/accounts/member/", "/console/accounts/auditentry/", "/console/playground/",
    "/console/jobs/job/start/",
]  # fmt: skip


def test_no_list_asks_once_for_each_row(owner: Person, base: BaseModel) -> None:
    fill(owner, 1)
    few = {url: queries(lambda url=url: owner.get(url)) for url in LISTS}  # type: ignore[misc]
    fill(owner, 4)

    many = {url: queries(lambda url=url: owner.get(url)) for url in LISTS}  # type: ignore[misc]

    assert many == few
    assert many.pop("/console/") <= FIRST_PAGE
    assert max(many.values()) <= BASELINE, many


def test_a_poll_of_the_live_page_is_cheap(owner: Person) -> None:
    job = job_make(owner)
    for _ in range(30):
        event_add(job, step=1, train_loss=1.0)
    url = f"/console/jobs/{job.pk}/live/"
    owner.get(url)

    assert queries(lambda: owner.get(url)) <= 12
