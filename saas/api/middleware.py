"""Each request has an id and a duration, in its answer's headers and in every log line."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase

from tenants.kernel.ids import new_id


class TraceMiddleware:
    """Sets `x-request-id`, `openai-processing-ms`; binds `trace_id` for logs, audit, outbox."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        trace_id = new_id("req_")
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            response = self.get_response(request)
        response.headers["x-request-id"] = trace_id
        response.headers["openai-processing-ms"] = str(int((time.perf_counter() - started) * 1000))
        return response
