"""Deciding on a call: a row, in the transaction that decides it. Nothing is sent here.

`answer_of(call)` stands in a later call's params for the id that the earlier one is answered with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from tenants.billing.operators import system_only
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.errors import Forestalled, Unready
from tenants.billing.stripe.events import StripeCallQueued
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.operations import (
    METADATA_FOR,
    METADATA_KEY,
    METADATA_TENANT,
    OPERATIONS,
)
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit

State = StripeCall.State
_ANSWER = "answer_of"
ATTEMPT = "#"  # parts a key from the number of the attempt under it, which the first does without


def call_queue(
    *,
    tenant_id: str,
    operation: str,
    key: str,
    params: Mapping[str, Any] | None = None,
    target: str | StripeCall = "",
    after: StripeCall | None = None,
) -> StripeCall:
    """Decide that Stripe is asked for `operation`, once for each `key` (system scope).

    `target`: the object that it acts on, or the call whose answer will name it. `after`: the call
    that must have been answered before. A known key returns its call, whatever the params.
    """
    system_only()
    call_id = new_id("call_")
    row: StripeCall
    row, made = StripeCall.objects.get_or_create(
        tenant_id=tenant_id,
        operation=operation,
        key=key,
        mode=stripe_mode(),
        defaults={
            "id": call_id,
            "params": _with_metadata(tenant_id, operation, key, call_id, params or {}),
            "target": f"{_ANSWER}:{target.id}" if isinstance(target, StripeCall) else target,
            "after": after,
        },
    )
    if made and (after is None or after.state in {State.DONE, State.REFUSED}):
        emit(StripeCallQueued(tenant_id=tenant_id, call_id=row.id, operation=operation))
    return row


def call_named(tenant_id: str, operation: str, key: str) -> StripeCall | None:
    """The latest call that was decided on under a key, if any."""
    found: StripeCall | None = _attempts(tenant_id, operation, key).order_by("-id").first()
    return found


def attempt_key(tenant_id: str, operation: str, key: str) -> str:
    """`key`, or where that was refused, the key of another attempt: `key#2`, `key#3` …"""
    refused = _attempts(tenant_id, operation, key).filter(state=State.REFUSED).count()
    return f"{key}{ATTEMPT}{refused + 1}" if refused else key


def _attempts(tenant_id: str, operation: str, key: str) -> Any:
    return StripeCall.objects.filter(
        Q(key=key) | Q(key__startswith=f"{key}{ATTEMPT}"),
        tenant_id=tenant_id,
        operation=operation,
        mode=stripe_mode(),
    )


def answer_of(call: StripeCall) -> dict[str, str]:
    """Stands for what `call` will be answered with."""
    return {_ANSWER: call.id}


def target_of(call: StripeCall) -> str:
    """The id of the object that a call acts on. Raises Unready, Forestalled while it has none."""
    kind, _, call_id = call.target.partition(":")
    return _answered(call_id) if kind == _ANSWER else call.target


def params_of(call: StripeCall) -> dict[str, Any]:
    """A call's params, with what earlier calls were answered. Raises Unready, Forestalled."""
    resolved: dict[str, Any] = _resolved(call.params)
    return resolved


def _resolved(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_ANSWER}:
            return _answered(value[_ANSWER])
        return {name: _resolved(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_resolved(part) for part in value]
    return value


def _answered(call_id: str) -> str:
    call: StripeCall = StripeCall.objects.get(pk=call_id)
    if call.state == State.REFUSED:
        raise Forestalled(call.operation)
    if call.state != State.DONE:
        raise Unready(call.operation)
    return call.answer_id


def _with_metadata(
    tenant_id: str, operation: str, key: str, call_id: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    if not OPERATIONS[operation].has_metadata:
        return dict(params)
    own = {METADATA_KEY: call_id, METADATA_FOR: key, METADATA_TENANT: tenant_id}
    return {**params, "metadata": {**params.get("metadata", {}), **own}}
