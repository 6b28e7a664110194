"""`Idempotency-Key` on every POST; without one, an SDK's retry is known by its body.

The OpenAI SDK sends no key, but counts its attempts in `x-stainless-retry-count`. Source:
https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.request import UnreadablePostError

from saas.api.errors import error_response
from tenants.kernel.errors import BreakwaterError, InvalidInput, TooLarge
from tenants.kernel.idempotency import (
    Answer,
    key_usable,
    request_begin,
    request_begin_anew,
    request_begin_retry,
    request_end,
    retry_count,
)


class IdempotencyMiddleware:
    """Runs inside the request's scope: a failed request leaves nothing and may be sent anew."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        applies = request.method == "POST" and request.path_info.startswith("/v1/")
        if not applies or getattr(request, "actor", None) is None:
            return self.get_response(request)
        try:
            key, earlier = begin(request)
        except BreakwaterError as error:
            return error_response(error)
        if earlier is not None:
            return replay(earlier)
        response = self.get_response(request)
        if key and 200 <= response.status_code < 300 and isinstance(response, HttpResponse):
            body = json.loads(response.content) if response.content else None
            request_end(key=key, status=response.status_code, body=body)
        return response


def begin(request: HttpRequest) -> tuple[str, Answer | None]:
    """Claim this request's key ("" where it has none). Raises InvalidInput, TooLarge, Conflict."""
    given = given_key(request)
    attempt = retry_count(request.headers.get("X-Stainless-Retry-Count", ""))
    fingerprint = fingerprint_of(request)
    if given is not None:
        key = f"key:{given}"
        return key, request_begin(key=key, fingerprint=fingerprint)
    key = f"body:{fingerprint}"
    if attempt is None:
        return "", None
    if attempt == 0:
        request_begin_anew(key=key, fingerprint=fingerprint)
        return key, None
    return key, request_begin_retry(key=key, fingerprint=fingerprint)


def given_key(request: HttpRequest) -> str | None:
    """The header `Idempotency-Key`. Raises InvalidInput for an unusable one."""
    given = request.headers.get("Idempotency-Key")
    return None if given is None else key_usable(given)


def replay(answer: Answer) -> HttpResponse:
    return JsonResponse(
        answer.body, status=answer.status, safe=False, headers={"idempotent-replayed": "true"}
    )


def fingerprint_of(request: HttpRequest) -> str:
    """sha256 of method, address and content; of a form its fields, as boundaries differ."""
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    if hasattr(request, "_files"):  # a form that `GuardMiddleware` has read
        for name, values in sorted(request.POST.lists()):
            digest.update(json.dumps([name, values]).encode())
        for name, file in sorted(request.FILES.items()):
            digest.update(json.dumps([name, getattr(file, "name", "")]).encode())
            digest.update(_sha256(file))
        return digest.hexdigest()
    try:
        digest.update(request.body)
    except RequestDataTooBig as error:
        raise TooLarge("the request's body is too large") from error
    except UnreadablePostError as error:
        raise InvalidInput("the request's body broke off") from error
    return digest.hexdigest()


def _sha256(file: object) -> bytes:
    assert isinstance(file, UploadedFile)  # noqa: S101 -- what request.FILES holds, for mypy
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.digest()
