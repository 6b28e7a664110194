"""One base error with a stable `code`; clients match codes, not prose.

`type` and `code` follow the shape of OpenAI's error object:
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations


class BreakwaterError(Exception):
    """Something that a caller can be told: what is wrong, where (`param`), what to do.

    `status` is the HTTP status that fits; `retry_after` is in seconds.
    """

    code = "internal_error"
    type = "server_error"
    status = 500

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    def to_dict(self) -> dict[str, str | None]:
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }

    def headers(self) -> dict[str, str]:
        """`x-should-retry` and `retry-after` tell the SDKs whether asking again can help."""
        retry = self.status in {429, 503} or self.retry_after is not None
        found = {"x-should-retry": "true" if retry else "false"}
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        if self.retry_after is not None:
            found["retry-after"] = str(max(1, round(self.retry_after)))
            found["retry-after-ms"] = str(round(self.retry_after * 1000))
        return found


class InvalidInput(BreakwaterError):
    code = "invalid_value"
    type = "invalid_request_error"
    status = 400


class Unauthenticated(BreakwaterError):
    code = "invalid_api_key"
    type = "authentication_error"
    status = 401


class InsufficientCredit(BreakwaterError):
    code = "insufficient_quota"
    type = "insufficient_quota"
    status = 402


class PermissionDenied(BreakwaterError):
    code = "permission_denied"
    type = "permission_error"
    status = 403


class NotFound(BreakwaterError):
    code = "not_found"
    type = "invalid_request_error"
    status = 404


class Conflict(BreakwaterError):
    code = "conflict"
    type = "invalid_request_error"
    status = 409


class TooLarge(BreakwaterError):
    code = "too_large"
    type = "invalid_request_error"
    status = 413


class RateLimited(BreakwaterError):
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    status = 429


class Unavailable(BreakwaterError):
    code = "unavailable"
    type = "server_error"
    status = 503


class FencedOut(BreakwaterError):
    """A worker wrote with a token that is no longer the job's: another attempt has taken over."""

    code = "fenced_out"
    status = 409
