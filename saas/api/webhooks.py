"""`POST /webhooks/stripe`: kept once it is known to be genuine, and answered at once."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from saas.api.errors import error_response
from tenants.billing.stripe.webhooks import MOST_BYTES, event_receive
from tenants.kernel.errors import BreakwaterError, TooLarge


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 for what is kept or was before; 400 for what Stripe did not sign, or long ago."""
    try:
        event_receive(_body(request), request.headers.get("Stripe-Signature", ""))
    except BreakwaterError as error:
        return error_response(error)
    return JsonResponse({"received": True})


def _body(request: HttpRequest) -> bytes:
    """Raises TooLarge."""
    try:
        body: bytes = request.body
    except RequestDataTooBig as error:
        raise TooLarge("the event is too large") from error
    if len(body) > MOST_BYTES:
        raise TooLarge("the event is too large")
    return body
