"""No list asks the database once for each of its rows, and an ordinary request asks little."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tenants.accounts.services import user_create
from tenants.billing.models import TaxProfile, TaxRate
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import (
    BASE,
    PASSWORD,
    Caller,
    chats,
    compression_body,
    usage_make,
    version_make,
)
from tests.saas.money import top_up
from tests.tenants.billing.factories import used
from workers.assets.models import BaseModel

pytestmark = pytest.mark.django_db

Make = Callable[[Caller], object]


def member_make(caller: Caller) -> None:
    email = f"{new_id('x')}@example.com"
    user_create(email=email, password=PASSWORD)
    caller.post("/v1/members", {"email": email, "role": "viewer"})


def dataset_make(caller: Caller) -> None:
    file_id = caller.upload(chats()).json["id"]
    caller.post("/v1/datasets", {"file": file_id, "model": BASE})


def job_make(caller: Caller) -> None:
    file_id = caller.upload(chats()).json["id"]
    caller.post("/v1/fine_tuning/jobs", {"model": BASE, "training_file": file_id})


def evaluation_make(caller: Caller) -> None:
    caller.post("/v1/evaluations", {"model": BASE, "file": caller.upload(chats()).json["id"]})


def compression_make(caller: Caller) -> None:
    caller.post("/v1/compressions", compression_body(caller.upload(chats()).json["id"]))


def deployment_make(caller: Caller) -> None:
    caller.post("/v1/deployments", {"model": version_make(caller, suffix=new_id("s")).name})


def model_make(caller: Caller) -> None:
    """A model that continues another one."""
    own = [m for m in caller.get("/v1/models").json["data"] if m["kind"] != "base"]
    version_make(caller, suffix=new_id("s"), parent=own[0]["id"] if own else "")


def budget_make(caller: Caller) -> None:
    caller.post("/v1/budgets", {"subject": "model", "ref": new_id("ft:"), "hard": "5"})


def charge_make(caller: Caller) -> None:
    assert caller.tenant is not None
    used(caller.tenant.id, new_id("req_"), 1000, now())


def invoice_make(caller: Caller) -> None:
    """The tax document of a top-up, in a jurisdiction where its tax arises at top-up."""
    assert caller.tenant is not None
    with system_scope():
        TaxRate.objects.get_or_create(
            jurisdiction="DE",
            defaults={"name": "MwSt.", "rate": "0.19", "valid_from": now() - dt.timedelta(days=9)},
        )
        TaxProfile.objects.update_or_create(
            tenant_id=caller.tenant.id, defaults={"country": "DE", "tax_point": "top_up"}
        )
    top_up(caller.tenant)


LISTS: dict[str, Make] = {
    "/v1/files": lambda caller: caller.upload(chats()),
    "/v1/datasets": dataset_make,
    "/v1/models": model_make,
    "/v1/fine_tuning/jobs": job_make,
    "/v1/evaluations": evaluation_make,
    "/v1/compressions": compression_make,
    "/v1/deployments": deployment_make,
    "/v1/api_keys": lambda caller: caller.post("/v1/api_keys", {"name": "more"}),
    "/v1/members": member_make,
    "/v1/usage": usage_make,
    "/v1/budgets": budget_make,
    "/v1/wallet/transactions": charge_make,
    "/v1/invoices": invoice_make,
}


def queries_of(caller: Caller, path: str) -> tuple[int, int]:
    """(rows, statements) of one request."""
    with ExitStack() as stack:
        watched = [
            stack.enter_context(CaptureQueriesContext(connections[alias]))
            for alias in ("default", "system")
        ]
        reply = caller.get(path)
    assert reply.status == 200, reply.content
    return len(reply.json["data"]), sum(len(watch) for watch in watched)


@pytest.mark.parametrize("path", sorted(LISTS))
def test_a_longer_list_asks_no_more(api: Caller, base: BaseModel, path: str) -> None:
    LISTS[path](api)
    queries_of(api, path)  # what is remembered after the first time
    few, before = queries_of(api, path)
    for _ in range(4):
        LISTS[path](api)

    many, after = queries_of(api, path)

    assert many == few + 4
    assert after == before


def test_an_ordinary_request_asks_little(api: Caller) -> None:
    """Key, its last use, the scope's setting, the list; the rest opens and ends transactions."""
    api.get("/v1/files")

    _, statements = queries_of(api, "/v1/files")

    assert 3 < statements <= 12
