"""The balance: transactions with their fees, pending before available, and payouts to a bank.

https://docs.stripe.com/api/balance_transactions
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, listed, metadata, retrieves
from tests.stripe_server.resources.currencies import amount_check, currency_check
from tests.stripe_server.store import Object, Store

DAY = 86_400
PENDING_DAYS = 2
FEE_FIXED = {"usd": 30, "eur": 25, "gbp": 20, "jpy": 40, "kwd": 90}
CATEGORIES = {
    "charge": "charge", "payment": "charge", "refund": "refund", "payment_refund": "refund",
    "adjustment": "dispute", "transfer": "transfer", "transfer_refund": "transfer_reversal",
    "payout": "payout", "payout_failure": "payout_reversal", "refund_failure": "refund_failure",
    "payment_failure_refund": "refund_failure", "topup": "topup", "stripe_fee": "fee",
    "payment_reversal": "charge_failure",
}  # fmt: skip


def fee_of(store: Store, amount: int, currency: str) -> int:
    """2.9% and a fixed part, in the smallest unit, unless the door has set others."""
    fees = store.state["fees"]
    share = (Decimal(amount) * Decimal(fees["share"])).quantize(Decimal(1), ROUND_HALF_EVEN)
    return int(share) + int((FEE_FIXED | fees["fixed"]).get(currency, 30))


def balance_change(
    store: Store,
    kind: str,
    amount: int,
    currency: str,
    *,
    source: str,
    fee: int = 0,
    at_once: bool = False,
    account: str | None = None,
    category: str = "",
) -> Object:
    """One balance transaction. `at_once`: available now, like all that leaves."""
    now = store.now()
    available = now if at_once or amount < 0 else now + PENDING_DAYS * DAY
    return store.add(
        "balance_transaction",
        type=kind,
        reporting_category=category or CATEGORIES[kind],
        amount=amount,
        fee=fee,
        fee_details=[{"amount": fee, "currency": currency, "type": "stripe_fee"}] if fee else [],
        net=amount - fee,
        currency=currency,
        source=source,
        status="available" if available <= now else "pending",
        available_on=available,
        _account=account,
    )


def balances_mature(store: Store) -> None:
    """What is due is available from now on."""
    now = store.now()
    for change in store.where("balance_transaction", status="pending"):
        if change["available_on"] <= now:
            change["status"] = "available"


def balance_of(store: Store, currency: str, account: str | None = None) -> dict[str, int]:
    """What is available and what is pending."""
    found = {"available": 0, "pending": 0}
    for change in store.where("balance_transaction", currency=currency, _account=account):
        found[change["status"]] += change["net"]
    return found


@handles("GET", "/v1/balance")
def balance_retrieve(call: Call) -> Object:
    changes = call.store.where("balance_transaction", _account=call.account)
    currencies = sorted({c["currency"] for c in changes}) or ["usd"]
    sums = {c: balance_of(call.store, c, call.account) for c in currencies}

    def amounts(name: str) -> list[dict[str, Any]]:
        return [{"amount": sums[c][name], "currency": c} for c in currencies]

    return {
        "object": "balance",
        "livemode": False,
        "available": amounts("available"),
        "pending": amounts("pending"),
    }


@handles("GET", "/v1/balance_transactions")
def balance_transactions_list(call: Call) -> Object:
    payout = call.params.get("payout")
    return listed(
        call, "balance_transaction", "currency", "source", "type", _account=call.account,
        also=lambda change: payout is None or change.get("_payout") == payout,
    )  # fmt: skip


retrieves("/v1/balance_transactions/{id}", "balance_transaction")
retrieves("/v1/payouts/{payout}", "payout")


@handles("GET", "/v1/payouts")
def payouts_list(call: Call) -> Object:
    return listed(call, "payout", "status", "destination", _account=call.account)


@handles("POST", "/v1/payouts")
def payout_create(call: Call) -> Object:
    amount, currency = call.params["amount"], currency_check(call.params["currency"])
    amount_check(amount, currency, is_payout=True)
    if amount > balance_of(call.store, currency, call.account)["available"]:
        raise Refused(
            "You have insufficient funds in your Stripe account for this transfer. Your card "
            "balance is too low.",
            code="balance_insufficient",
        )
    store = call.store
    made = store.add(
        "payout",
        amount=amount,
        currency=currency,
        status="pending",
        automatic=False,
        arrival_date=store.now() + PENDING_DAYS * DAY,
        description=call.params.get("description"),
        statement_descriptor=call.params.get("statement_descriptor"),
        method=call.params.get("method", "standard"),
        type="bank_account",
        destination="ba_test",
        failure_code=None,
        failure_message=None,
        failure_balance_transaction=None,
        metadata=metadata({}, call.params.get("metadata")),
        _account=call.account,
    )
    change = balance_change(
        store, "payout", -amount, currency, source=made["id"], account=call.account
    )
    made["balance_transaction"] = change["id"]
    store.emit("payout.created", made, account=call.account)
    store.later(made["arrival_date"], "payout_arrive", made["id"])
    return made


def payout_arrive(store: Store, payout_id: str) -> None:
    payout = store.get("payout", payout_id)
    if payout["status"] == "pending":
        payout["status"] = "paid"
        store.emit("payout.paid", payout, account=payout["_account"])


def payout_fail(store: Store, payout_id: str) -> None:
    """The bank sends it back: the money is in the balance again."""
    payout = store.get("payout", payout_id)
    payout.update(
        status="failed",
        failure_code="account_closed",
        failure_message="The bank account has been closed",
    )
    change = balance_change(
        store,
        "payout_failure",
        payout["amount"],
        payout["currency"],
        source=payout_id,
        at_once=True,
        account=payout["_account"],
    )
    payout["failure_balance_transaction"] = change["id"]
    store.emit("payout.failed", payout, account=payout["_account"])
