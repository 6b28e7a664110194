"""What is checked of a request before any transaction opens for it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError

from saas.api.errors import API_AREAS, error_response
from tenants.kernel.errors import BreakwaterError, InvalidInput, TooLarge

UPLOADS = re.compile(
    r"^(/v1/(files|uploads/[^/]+/parts|partner/listings)|/console/(files/upload|listings/submit)/)$"
)


READ = frozenset({"utf-8", "ascii"})


class UnsupportedCharset(InvalidInput):
    code = "unsupported_media_type"
    status = 415


class GuardMiddleware:
    """Refuses what is not UTF-8 and addresses that PostgreSQL cannot look up; takes uploads in.

    A large upload is read to a temporary file here, so that no transaction is held meanwhile.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_api = request.path_info.startswith(API_AREAS)
        try:
            refuse_other_charsets(request)
            refuse_unusable_address(request)
            if is_api:
                take_upload(request)
        except BreakwaterError as error:
            if is_api:
                return error_response(error)
            return HttpResponse(error.message, status=error.status, content_type="text/plain")
        return self.get_response(request)


def refuse_other_charsets(request: HttpRequest) -> None:
    """Raises UnsupportedCharset. Python's codecs hold more than text: zlib, hex, and slow ones."""
    if request.encoding and codecs.lookup(request.encoding).name not in READ:
        raise UnsupportedCharset(f"send the request in UTF-8, not in {request.encoding[:40]}")


def refuse_unusable_address(request: HttpRequest) -> None:
    values = (value for values in request.GET.lists() for value in (values[0], *values[1]))
    if any("\x00" in text for text in (request.path_info, *values)):
        raise InvalidInput("the address holds a NUL character (%00)")


def take_upload(request: HttpRequest) -> None:
    """Parse a multipart body on the routes that take one. Raises InvalidInput, TooLarge."""
    if request.method != "POST" or request.content_type != "multipart/form-data":
        return
    if not UPLOADS.match(request.path_info):
        return
    try:
        _ = request.FILES
    except RequestDataTooBig as error:
        raise TooLarge("the form's text fields are too large") from error
    except (MultiPartParserError, SuspiciousOperation) as error:
        raise InvalidInput(f"this is not a readable multipart form: {error}") from error
