"""Rate limits of the API: one request from the tenant's bucket, the state of all in the headers."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from saas.api.errors import error_response
from tenants.kernel.errors import RateLimited
from tenants.kernel.rate_limits import Limit, Verdict, take_from, tenant_limits


class RateLimitMiddleware:
    """Counts each request of an API key's tenant; the operator's and the web admin's are free."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        actor = getattr(request, "actor", None)
        if actor is None or not request.path_info.startswith("/v1/"):
            return self.get_response(request)
        verdict = take_from(actor.tenant_id, tenant_limits(), (1, 0))
        response = self._answer(request, verdict)
        for name, value in verdict.headers().items():
            response.headers[name] = value
        return response

    def _answer(self, request: HttpRequest, verdict: Verdict) -> HttpResponseBase:
        try:
            verdict.require()
        except RateLimited as error:
            return error_response(error)
        return self.get_response(request)


def sign_up_take(address: str) -> None:
    """Count a sign-up from `address`. Raises RateLimited."""
    limit = Limit("requests", settings.RATE_LIMIT_SIGN_UPS, period_s=3600)
    take_from(f"sign_up:{address}", (limit,), (1,)).require()
