"""Errors as callers see them: `{"error": {"message", "type", "param", "code"}}`.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolTimeout
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
    Unavailable,
)

API_AREAS = ("/v1/", "/operator/v1/")


def error_response(error: BreakwaterError) -> JsonResponse:
    return JsonResponse({"error": error.to_dict()}, status=error.status, headers=error.headers())


def exception_handler(raised: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: our errors and its own in one shape; all else is a 500 for Django to log."""
    del context
    error = as_breakwater_error(raised)
    if error is None:
        return None
    set_rollback()
    return Response({"error": error.to_dict()}, status=error.status, headers=error.headers())


def as_breakwater_error(raised: Exception) -> BreakwaterError | None:
    """What DRF and Django raise, as our errors. None for what nobody foresaw."""
    if isinstance(raised, BreakwaterError):
        return raised
    if isinstance(raised, drf.APIException):
        return _drf_error(raised)
    if isinstance(raised, Http404):
        return NotFound("there is nothing here; see /docs for the API's routes")
    if isinstance(raised, DjangoPermissionDenied):
        return PermissionDenied(str(raised) or "not allowed")
    if isinstance(raised.__cause__, UniqueViolation):
        return Conflict(
            "the same thing was being made at the same moment; send the request again",
            code="made_at_the_same_moment",
            retry_after=0.5,
        )
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
    if isinstance(raised, drf.ValidationError):
        return _validation_error(raised)
    if isinstance(raised, drf.NotAuthenticated):
        return Unauthenticated("send your API key as 'Authorization: Bearer bw-…'")
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


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler400`."""
    if not request.path_info.startswith(API_AREAS):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return error_response(TooLarge("the request's body is too large"))
    return error_response(InvalidInput(f"the request cannot be read: {exception}"))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`."""
    if not request.path_info.startswith(API_AREAS):
        return defaults.page_not_found(request, exception)
    message = f"no route {request.method} {request.path_info}; see /docs for the API's routes"
    return error_response(NotFound(message, code="unknown_url"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: what nobody foresaw, or a database that does not answer."""
    if not request.path_info.startswith(API_AREAS):
        return defaults.server_error(request)
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError | PoolTimeout):
        message = "the database does not answer; try again in a moment"
        return error_response(Unavailable(message, retry_after=2.0))
    return error_response(
        BreakwaterError("something went wrong on our side; the logs know it by x-request-id")
    )
