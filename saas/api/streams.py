"""Bytes sent as they are read, never a whole file in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse


def streamed(
    request: HttpRequest, chunks: Iterator[bytes], *, media_type: str, filename: str
) -> StreamingHttpResponse:
    """Send `chunks` as a download. They are read outside of the request's transaction."""
    body = in_threads(chunks) if isinstance(request, ASGIRequest) else chunks
    return StreamingHttpResponse(
        body,
        content_type=media_type,
        headers={
            "content-disposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
            "x-content-type-options": "nosniff",
        },
    )


async def in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read a blocking iterator chunk by chunk, off the event loop."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
