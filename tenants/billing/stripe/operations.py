"""The operations we ask of Stripe: how each is sent, and how its object is found again.

What is found again: Stripe prunes idempotency keys after a day, so a call whose outcome stayed
unknown that long is looked up by our own key in the metadata before it is sent anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stripe import StripeClient

from tenants.billing.stripe.names import ALL_SUBSCRIPTIONS

METADATA_KEY = "breakwater_key"  # holds the call's id
METADATA_FOR = "breakwater_for"  # what it is to us
METADATA_TENANT = "breakwater_tenant"

Params = Mapping[str, Any]
Send = Callable[[Any, str, Params, Any], Any]  # the v1 services, target, params, options
Listed = Callable[[Any, str, Params], Any]  # the v1 services, target, what narrows the list


@dataclass(frozen=True)
class Operation:
    """`finder` lists what the object is among. `kind` and `done`: it acts on an object, and is done
    where that stands in one of these words: a second time is refused, not counted.
    """

    send: Send
    finder: Listed | None = None
    kind: str = ""
    done: frozenset[str] = frozenset()
    narrow: tuple[str, ...] = ()  # params that its list can be narrowed by
    has_metadata: bool = True
    refusable: bool = False  # a refusal is an ordinary answer (a declined card): no finding
    waits: bool = True  # where there is no balance, until there is one
    once: bool = False  # cannot be found again, and would count twice: not sent after a key's life


def _create(
    of: Callable[[Any], Any], *narrow: str, every: Params | None = None, **more: Any
) -> Operation:
    def send(v1: Any, target: str, params: Params, options: Any) -> Any:
        del target
        return of(v1).create(params, options)

    def listed(v1: Any, target: str, where: Params) -> Any:
        del target
        return of(v1).list({**where, **(every or {})})

    return Operation(send, finder=listed, narrow=narrow, **more)


def _act(
    call: Callable[[Any], Callable[..., Any]], kind: str, *done: str, **more: Any
) -> Operation:
    def send(v1: Any, target: str, params: Params, options: Any) -> Any:
        return call(v1)(target, params, options)

    return Operation(send, kind=kind, done=frozenset(done), has_metadata=False, **more)


def _bare(of: Callable[[Any], Any], **more: Any) -> Operation:
    """Makes an object without metadata, of which a second one does no harm."""

    def send(v1: Any, target: str, params: Params, options: Any) -> Any:
        del target
        return of(v1).create(params, options)

    return Operation(send, has_metadata=False, **more)


INVOICE = "invoice"
OPERATIONS: Mapping[str, Operation] = {
    "customer.create": _create(lambda v1: v1.customers),
    "checkout.create": _create(lambda v1: v1.checkout.sessions, "customer"),
    "portal.create": _bare(lambda v1: v1.billing_portal.sessions),
    "invoice.create": _create(lambda v1: v1.invoices, "customer"),
    "invoice_item.create": _create(lambda v1: v1.invoice_items, "invoice"),
    "invoice.finalize": _act(
        lambda v1: v1.invoices.finalize_invoice, INVOICE, "open", "paid", "void", "uncollectible"
    ),
    "invoice.pay": _act(lambda v1: v1.invoices.pay, INVOICE, "paid", refusable=True),
    "invoice.void": _act(lambda v1: v1.invoices.void_invoice, INVOICE, "void", "paid"),
    "invoice.mark_uncollectible": _act(
        lambda v1: v1.invoices.mark_uncollectible, INVOICE, "uncollectible", "paid", "void"
    ),
    "invoice.attach_payment": _act(lambda v1: v1.invoices.attach_payment, INVOICE, "paid"),
    "payment_record.report": Operation(
        lambda v1, _target, params, options: v1.payment_records.report_payment(params, options)
    ),
    "refund.create": _create(lambda v1: v1.refunds, "payment_intent"),
    "credit_note.create": _create(lambda v1: v1.credit_notes, "invoice"),
    "product.create": _create(lambda v1: v1.products),
    "price.create": _create(lambda v1: v1.prices, "product"),
    "subscription.create": _create(
        lambda v1: v1.subscriptions, "customer", every=ALL_SUBSCRIPTIONS, refusable=True
    ),
    "subscription.update": _act(
        lambda v1: v1.subscriptions.update, "subscription", "canceled", "incomplete_expired"
    ),
    "subscription.cancel": _act(
        lambda v1: v1.subscriptions.cancel, "subscription", "canceled", "incomplete_expired"
    ),
    "meter_event.create": _bare(lambda v1: v1.billing.meter_events, once=True),
    "account.create": _create(lambda v1: v1.accounts),
    "account_link.create": _bare(lambda v1: v1.account_links),
    "transfer.create": _create(lambda v1: v1.transfers, "transfer_group"),
    "transfer.reverse": Operation(
        lambda v1, target, params, options: v1.transfers.reversals.create(target, params, options),
        finder=lambda v1, target, _where: v1.transfers.reversals.list(target, {"limit": 100}),
        waits=False,
    ),
}


def found_again(
    client: StripeClient, name: str, target: str, params: Params, key: str, since: int
) -> Any:
    """Return the object that an earlier, unheard call under `key` made; None where there is none.

    `since`: when it was sent first, as seconds of the epoch. Lists, unlike searches, are never
    behind.
    """
    operation = OPERATIONS[name]
    if operation.finder is None:
        return None
    narrowed = {field: params[field] for field in operation.narrow if field in params}
    where = {"created": {"gte": since}, "limit": 100, **narrowed}
    for candidate in operation.finder(client.v1, target, where).auto_paging_iter():
        if (candidate.to_dict().get("metadata") or {}).get(METADATA_KEY) == key:
            return candidate
    return None
