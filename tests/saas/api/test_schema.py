"""The OpenAPI document: valid, complete, and kept by what the API answers.

schemathesis drives every operation, by the schema and against it, on a real web process: no 5xx, no
status, content type or body that the document does not name. Half of the requests address things
that exist, so that they get past "not found".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.saas.api.factories import Caller, one_of_everything, operator_caller, shared_money
from tests.saas.api.routes import api_routes
from tests.stores import Stores
from workers.assets.models import BaseModel

GATEWAY = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/predictions"}
EXAMPLES = 16


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def operations() -> list[Any]:
    loaded = schemathesis.openapi.from_dict(document())
    return [found.ok() for found in loaded.get_all_operations()]


def test_the_document_is_valid_openapi() -> None:
    validate_schema(document())
    assert not GENERATOR_STATS  # whose truth is that it warned, as of two things of one name


def test_every_route_is_documented_with_its_errors() -> None:
    paths = document()["paths"]
    for route in api_routes():
        found = paths[route.template][route.method.lower()]
        statuses = set(found["responses"])
        assert {"400", "429", "503"} <= statuses, str(route)
        if route.template != "/v1/sign_up":
            assert {"401", "403"} <= statuses, str(route)
            assert "Needs the permission" in found["description"], str(route)
        if route.parameters:
            assert "404" in statuses, str(route)
        assert found["summary"]
    assert set(paths) >= GATEWAY


def test_operation_ids_are_unique() -> None:
    ids = [
        operation["operationId"]
        for item in document()["paths"].values()
        for operation in item.values()
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.django_db
def test_the_document_and_its_pages_are_served_from_here(nobody: Caller) -> None:
    served = nobody.get("/openapi.json")
    page = nobody.get("/docs").content.decode()

    assert served.json["paths"].keys() == document()["paths"].keys()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert "cdn." not in page


READS = [found for found in operations() if found.method == "get"]
WRITES = [found for found in operations() if found.method != "get"]


@pytest.mark.django_db
@pytest.mark.parametrize("area", sorted({found.path.split("/")[1] for found in READS}))
def test_answers_to_reads_keep_to_the_document(
    area: str, world: World, stores: Stores, subtests: pytest.Subtests
) -> None:
    """On one set of things, since nothing changes them."""
    for operation in READS:
        if operation.path.split("/")[1] == area:
            stores.redis.flushall()  # nobody asks so often
            with subtests.test(operation.label):
                drive(operation, world)


@pytest.mark.django_db
@pytest.mark.parametrize("operation", WRITES, ids=lambda found: found.label)
def test_answers_to_writes_keep_to_the_document(operation: Any, world: World) -> None:
    drive(operation, world)


@dataclass(frozen=True)
class World:
    """One of everything that has an address, and who may ask for it."""

    url: str
    made: Mapping[str, str]  # an address's parameter → an id
    secrets: Mapping[str, str]  # API keys by a path's first part


@pytest.fixture
def world(api: Caller, base: BaseModel, web_url: str) -> World:
    made = one_of_everything(api) | shared_money()
    return World(web_url, made, {"operator": operator_caller().secret, "v1": api.secret})


def drive(operation: Any, world: World) -> None:
    """Requests by the schema and against it, half of them for what is there."""
    secret = world.secrets.get(operation.path.split("/")[1], "")  # none to ask whether it is well
    strategies = st.one_of(
        operation.as_strategy(GenerationMode.POSITIVE),
        operation.as_strategy(GenerationMode.NEGATIVE),
    )

    @given(case=strategies, real=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, real: bool) -> None:
        if real:
            addressed(case, world.made)
        headers = {"Authorization": f"Bearer {secret}"}
        reply = case.call(base_url=world.url, headers=headers, timeout=60)
        checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
        if reply.status_code == 405:  # another method than documented
            return
        assert reply.status_code < 500, f"{reply.status_code} {reply.content[:500]!r}"
        case.validate_response(reply, checks=checks)

    ask()


def addressed(case: Any, made: Mapping[str, str]) -> None:
    """Let the case name things that are there, in its path and its body."""
    for name in case.path_parameters or {}:
        case.path_parameters[name] = quote(made[name], safe="")
    if isinstance(case.body, dict) and case.operation.path not in GATEWAY:  # nothing serves here
        for name, value in (("model", made["model"]), ("training_file", made["file_id"])):
            if name in case.body:
                case.body[name] = value
        if (
            case.operation.path in {"/v1/evaluations", "/v1/datasets", "/v1/compressions"}
            and "file" in case.body
        ):
            case.body["file"] = made["file_id"]
