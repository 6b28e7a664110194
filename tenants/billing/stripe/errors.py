"""What an error of Stripe's means for the call that met it. Pure.

https://docs.stripe.com/error-low-level: a refusal (4xx) did nothing; of anything else the outcome
is unknown.
"""

from __future__ import annotations

from enum import StrEnum

from stripe import CardError, InvalidRequestError, StripeError

NO_BALANCE = frozenset({"balance_insufficient", "insufficient_funds"})


class OutcomeLost(StripeError):
    """Whether it was done is not known and cannot be found out; again, it might count twice."""

    def __init__(self) -> None:
        super().__init__("never answered, and Stripe has forgotten its key", code="outcome_lost")


class Forestalled(StripeError):
    """What it waits for was refused: it is not sent."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} was refused", code="forestalled")


class Unready(StripeError):
    """What it refers to has no answer yet: it was not sent."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} has no answer yet", code="unready")


class Verdict(StrEnum):
    FINAL = "final"  # it would be refused again
    NOT_NOW = "not_now"  # nothing was done, and it may be done later, once there is a balance
    UNKNOWN = "unknown"  # it may have been done: the same key again


def verdict_on(error: StripeError) -> Verdict:
    if isinstance(error, CardError | OutcomeLost | Forestalled):
        return Verdict.FINAL
    if isinstance(error, Unready):
        return Verdict.NOT_NOW
    if isinstance(error, InvalidRequestError):
        return Verdict.NOT_NOW if error.code in NO_BALANCE else Verdict.FINAL
    return Verdict.UNKNOWN


def said(error: StripeError) -> str:
    """One line for a person: what Stripe said, and its code and request."""
    code = getattr(error, "code", None) or type(error).__name__
    request = f" [{error.request_id}]" if error.request_id else ""
    return f"{code}: {error.user_message or error}{request}"[:500]
