"""The ASGI wrapper that refuses large bodies, with and without a declared length."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.test import override_settings

from saas.api.body_limit import BodyLimit, largest_body

LIMIT = 100


async def echo_length(scope: Any, receive: Any, send: Any) -> None:
    """An app that reads its body to the end, as Django does."""
    seen = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        seen += len(message["body"])
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(seen).encode()})


def answer(chunks: list[bytes], headers: list[tuple[bytes, bytes]], path: str = "/v1/x") -> Any:
    """Run one request through the wrapper; (status, body)."""
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": headers}
    with override_settings(MAX_JSON_BYTES=LIMIT, MAX_FILE_BYTES=10 * LIMIT):
        asyncio.run(BodyLimit(echo_length)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("sizes", "status"),
    [((0,), 200), ((LIMIT,), 200), ((40, 60), 200), ((LIMIT + 1,), 413), ((60, 60, 60), 413)],
)
def test_bodies_pass_up_to_the_limit(sizes: tuple[int, ...], status: int, declared: bool) -> None:
    length = (b"content-length", str(sum(sizes)).encode())

    found, body = answer([b"x" * size for size in sizes], [length] if declared else [])

    assert found == status
    if status == 413:
        assert json.loads(body)["error"]["code"] == "too_large"
    else:
        assert body == str(sum(sizes)).encode()


def test_uploads_may_be_larger() -> None:
    with override_settings(MAX_JSON_BYTES=LIMIT, MAX_FILE_BYTES=10 * LIMIT):
        assert largest_body("/v1/files") > 10 * LIMIT
        assert largest_body("/v1/uploads/upload_1/parts") > 10 * LIMIT
        assert largest_body("/v1/uploads/upload_1/complete") == LIMIT
        assert largest_body("/v1/files/file-1") == LIMIT
    assert answer([b"x" * (LIMIT + 1)], [], "/v1/files")[0] == 200
