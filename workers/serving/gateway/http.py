"""ASGI by hand: bodies with a bound, answers, event streams, and clients that hang up.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from tenants.kernel.errors import BreakwaterError, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HungUp(Exception):
    """The client closed the connection before its request was whole."""


@dataclass
class Answer:
    """The way back to one client. `headers` go out with whatever is answered."""

    send: Send
    request_id: str
    started: float = field(default_factory=time.perf_counter)
    headers: dict[str, str] = field(default_factory=dict)
    begun: bool = False

    async def json(self, body: Any, *, status: int = 200) -> None:
        """Answer with one JSON object."""
        content = json.dumps(body, ensure_ascii=False).encode()
        self.headers["content-length"] = str(len(content))
        await self._begin(status, "application/json")
        await self.send({"type": "http.response.body", "body": content})

    async def error(self, error: BreakwaterError) -> None:
        """Answer with an error; in a stream that has begun, as its last chunk."""
        if self.begun:
            await self._event({"error": error.to_dict()})
            await self.send({"type": "http.response.body", "body": b""})
            return
        self.headers |= error.headers()
        await self.json({"error": error.to_dict()}, status=error.status)

    async def events(self, chunks: AsyncGenerator[Any]) -> None:
        """Stream server-sent events. Nothing is sent, not even the status, before the first."""
        async with aclosing(chunks) as events:
            async for event in events:
                if not self.begun:
                    self.headers |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
                    await self._begin(200, "text/event-stream; charset=utf-8")
                await self._event(event)
        await self.send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _event(self, chunk: Any) -> None:
        content = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
        await self.send({"type": "http.response.body", "body": content, "more_body": True})

    async def _begin(self, status: int, media_type: str) -> None:
        took = int((time.perf_counter() - self.started) * 1000)
        headers = {
            "content-type": media_type,
            "x-request-id": self.request_id,
            "openai-processing-ms": str(took),
        } | self.headers
        self.begun = True
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})


async def read_body(receive: Receive, *, most: int) -> bytes:
    """The whole body. Raises TooLarge, HungUp."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        part = message.get("body", b"")
        size += len(part)
        if size <= most:
            parts.append(part)
        if not message.get("more_body"):
            break
    if size > most:
        raise TooLarge(f"the body is larger than {most} bytes")
    return b"".join(parts)


async def hang_up(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def header(scope: Scope, name: str) -> str:
    wanted = name.encode()
    values = [value for key, value in scope["headers"] if key == wanted]
    return values[0].decode("latin-1") if values else ""
