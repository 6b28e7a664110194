"""Errors as callers see them: `{"error": {"message", "type", "param", "code"}}`.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from tenants.kernel.errors import (
    BreakwaterError,
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    RateLimited,
    TooLarge,
    Unauthenticated,
)


def error_response(error: BreakwaterError) -> JsonResponse:
    return JsonResponse(
        {"error": error.to_dict()}, status=error.status, headers=error_headers(error)
    )


def error_headers(error: BreakwaterError) -> dict[str, str]:
    """`x-should-retry` and `retry-after` tell the SDKs whether asking again can help."""
    retry = error.status in {429, 503}
    headers = {"x-should-retry": "true" if retry else "false"}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
        headers["retry-after-ms"] = str(round(error.retry_after * 1000))
    return headers


def exception_handler(raised: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: our errors and its own in one shape; all else is a 500 for Django to log."""
    del context
    error = as_breakwater_error(raised)
    if error is None:
        return None
    set_rollback()
    return Response({"error": error.to_dict()}, status=error.status, headers=error_headers(error))


def as_breakwater_error(raised: Exception) -> BreakwaterError | None:
    if isinstance(raised, BreakwaterError):
        return raised
    if isinstance(raised, Http404):
        return NotFound("there is nothing here; see /docs for the API's routes")
    if isinstance(raised, DjangoPermissionDenied):
        return PermissionDenied(str(raised) or "not allowed")
    if isinstance(raised, drf.ValidationError):
        return _validation_error(raised)
    if isinstance(raised, drf.APIException):
        return _drf_error(raised)
    return None


def _validation_error(raised: drf.ValidationError) -> InvalidInput:
    """DRF's tree of messages, cut to its first leaf: one error with its path as `param`."""
    path: list[str] = []
    detail: Any = raised.detail
    while isinstance(detail, dict | list) and detail:
        if isinstance(detail, dict):
            key = next(iter(detail))
            path.append(str(key))
            detail = detail[key]
        else:
            position = next((i for i, item in enumerate(detail) if item), 0)
            if isinstance(detail[position], dict | list):
                path.append(str(position))
            detail = detail[position]
    param = ".".join(part for part in path if part != "non_field_errors") or None
    message = str(detail)
    return InvalidInput(f"{param}: {message}" if param else message, param=param)


def _drf_error(raised: drf.APIException) -> BreakwaterError:
    kinds: dict[int, type[BreakwaterError]] = {
        400: InvalidInput,
        401: Unauthenticated,
        403: PermissionDenied,
        404: NotFound,
        409: Conflict,
        413: TooLarge,
        429: RateLimited,
    }
    kind = kinds.get(raised.status_code)
    if kind is None:
        error: BreakwaterError = InvalidInput(str(raised.detail), code=str(raised.default_code))
        error.status = raised.status_code
        return error
    wait = getattr(raised, "wait", None)
    return kind(str(raised.detail), retry_after=wait)
