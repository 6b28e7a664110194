"""Stripe's error object: https://docs.stripe.com/api/errors."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """An answer other than 200."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {
            "type": kind,
            "message": message,
            **({"code": code} if code else {}),
            **({"param": param} if param else {}),
            **more,
        }


def missing(kind: str, object_id: str, param: str = "id") -> Refused:
    """404 `resource_missing`; where the id came as a parameter, Stripe says 400."""
    return Refused(
        f"No such {kind}: '{object_id}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )


def declined(code: str, decline_code: str, message: str, **more: Any) -> Refused:
    """402 `card_error`: https://docs.stripe.com/declines/codes."""
    extra = {"decline_code": decline_code} if decline_code else {}
    return Refused(message, status=402, kind="card_error", code=code, **extra, **more)
