"""Rate limits over HTTP: what the headers tell, and what happens past the limit."""

from __future__ import annotations

import pytest
from django.test import override_settings

from tests.saas.api.factories import PASSWORD, Caller

pytestmark = pytest.mark.django_db


def test_every_answer_tells_how_the_limits_stand(api: Caller) -> None:
    with override_settings(RATE_LIMIT_REQUESTS=100, RATE_LIMIT_TOKENS=5000):
        headers = api.get("/v1/models").headers

    assert headers["x-ratelimit-limit-requests"] == "100"
    assert headers["x-ratelimit-remaining-requests"] == "99"
    assert headers["x-ratelimit-limit-tokens"] == "5000"
    assert headers["x-ratelimit-remaining-tokens"] == "5000"
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert headers["x-request-id"].startswith("req_")
    assert int(headers["openai-processing-ms"]) >= 0


def test_past_the_limit_the_caller_is_told_when_to_come_back(api: Caller, rival: Caller) -> None:
    with override_settings(RATE_LIMIT_REQUESTS=2):
        statuses = [api.get("/v1/models").status for _ in range(3)]
        refused = api.get("/v1/models")
        other = rival.get("/v1/models")

    assert statuses == [200, 200, 429]
    assert refused.error["code"] == "rate_limit_exceeded"
    assert refused.headers["x-should-retry"] == "true"
    assert 0 < int(refused.headers["retry-after-ms"]) <= 30_000
    assert int(refused.headers["retry-after"]) >= 1
    assert other.status == 200


def test_sign_ups_from_one_address_are_few(nobody: Caller) -> None:
    def sign_up(number: int) -> int:
        body = {
            "organisation": f"Org {number}",
            "email": f"o{number}@example.com",
            "password": PASSWORD,
        }
        return nobody.post("/v1/sign_up", body).status

    with override_settings(RATE_LIMIT_SIGN_UPS=2):
        assert [sign_up(number) for number in range(3)] == [201, 201, 429]
