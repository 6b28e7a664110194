"""Connected accounts and the money that goes to them and back.

https://docs.stripe.com/connect/separate-charges-and-transfers
"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, page, retrieves
from tests.stripe_server.resources.balance import balance_change, balance_of
from tests.stripe_server.resources.currencies import amount_check, currency_check
from tests.stripe_server.store import Object, Store

WANTED = ["external_account", "tos_acceptance.date"]

lists("/v1/accounts", "account")
lists("/v1/transfers", "transfer", "destination", "transfer_group")
retrieves("/v1/accounts/{account}", "account")
retrieves("/v1/transfers/{transfer}", "transfer")


@handles("POST", "/v1/accounts")
def account_create(call: Call) -> Object:
    params = call.params
    asked = params.get("capabilities") or {}
    made = call.store.add(
        "account",
        type=params.get("type", "none"),
        country=params.get("country", "US"),
        email=params.get("email"),
        controller=params.get("controller"),
        business_type=params.get("business_type"),
        business_profile=params.get("business_profile"),
        default_currency=params.get("default_currency", "usd"),
        capabilities={n: "inactive" for n, c in asked.items() if c.get("requested")},
        charges_enabled=False,
        payouts_enabled=False,
        details_submitted=False,
        requirements={"currently_due": list(WANTED), "disabled_reason": "requirements.past_due"},
        metadata=metadata({}, params.get("metadata")),
    )
    call.store.emit("account.updated", made, account=made["id"])
    return made


@handles("POST", "/v1/accounts/{account}")
def account_update(call: Call) -> Object:
    found = call.store.get("account", call.id)
    found.update(call.given("email", "business_type", "business_profile"))
    for name, asked in (call.params.get("capabilities") or {}).items():
        if asked.get("requested"):
            found["capabilities"].setdefault(name, "inactive")
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("account.updated", found, account=found["id"])
    return found


@handles("DELETE", "/v1/accounts/{account}")
def account_delete(call: Call) -> Object:
    found = call.store.get("account", call.id)
    del call.store.objects("account")[found["id"]]
    return {"id": found["id"], "object": "account", "deleted": True}


@handles("POST", "/v1/account_links")
def account_link_create(call: Call) -> Object:
    account = call.store.get("account", call.params["account"], "account")
    call.given("refresh_url", "type", "collect", "collection_options")
    account["_return_url"] = call.params.get("return_url")
    now = call.store.now()
    return {
        "object": "account_link",
        "created": now,
        "expires_at": now + 300,
        "url": call.store.page("setup", account["id"]),
    }


def account_onboard(store: Store, account_id: str) -> None:
    """The partner has told Stripe all that it wants to know."""
    account = store.get("account", account_id)
    account.update(
        charges_enabled=True,
        payouts_enabled=True,
        details_submitted=True,
        requirements={"currently_due": [], "disabled_reason": None},
        capabilities=dict.fromkeys(account["capabilities"], "active"),
    )
    store.emit("account.updated", account, account=account_id)


@handles("POST", "/v1/transfers")
def transfer_create(call: Call) -> Object:
    """From our balance; with `source_transaction`, of a charge's money, pending or not."""
    params, store = call.params, call.store
    destination = store.get("account", params["destination"], "destination")
    currency = currency_check(params["currency"])
    amount = params.get("amount", 0)
    amount_check(amount, currency)
    if destination["capabilities"].get("transfers") != "active":
        raise Refused(
            "Your destination account needs to have at least one of the following capabilities "
            "enabled: transfers, crypto_transfers, legacy_payments",
            code="insufficient_capabilities_for_transfer",
        )
    source = params.get("source_transaction")
    if source:
        _check_source(store, source, amount, currency)
    elif amount > balance_of(store, currency)["available"]:
        raise Refused(
            "You have insufficient available funds in your Stripe account.",
            code="balance_insufficient",
        )
    made = store.add(
        "transfer",
        amount=amount,
        amount_reversed=0,
        currency=currency,
        destination=destination["id"],
        description=params.get("description"),
        reversals={"object": "list", "data": [], "has_more": False, "url": ""},
        reversed=False,
        source_transaction=source,
        transfer_group=params.get("transfer_group"),
        metadata=metadata({}, params.get("metadata")),
    )
    change = balance_change(store, "transfer", -amount, currency, source=made["id"])
    made["balance_transaction"] = change["id"]
    balance_change(
        store, "payment", amount, currency, source=made["id"], at_once=True,
        account=destination["id"],
    )  # fmt: skip
    store.emit("transfer.created", made)
    return made


@handles("POST", "/v1/transfers/{transfer}")
def transfer_update(call: Call) -> Object:
    found = call.store.get("transfer", call.id)
    found.update(call.given("description"))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("transfer.updated", found)
    return found


@handles("POST", "/v1/transfers/{id}/reversals")
def reversal_create(call: Call) -> Object:
    """Fails where the partner's balance does not hold it any more."""
    store = call.store
    transfer = store.get("transfer", call.id)
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = call.params.get("amount", left)
    if not 0 < amount <= left:
        raise Refused(
            f"Reversal amount ({amount}) is greater than unreversed amount on transfer ({left})",
            param="amount",
        )
    account, currency = transfer["destination"], transfer["currency"]
    if amount > sum(balance_of(store, currency, account).values()):
        raise Refused(
            "The connected account has insufficient funds for this reversal.",
            code="balance_insufficient",
        )
    made = store.add(
        "transfer_reversal",
        amount=amount,
        currency=currency,
        transfer=transfer["id"],
        metadata=metadata({}, call.params.get("metadata")),
    )
    change = balance_change(
        store, "transfer_refund", amount, currency, source=made["id"], at_once=True
    )
    made["balance_transaction"] = change["id"]
    balance_change(store, "payment_refund", -amount, currency, source=made["id"], account=account)
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    transfer["reversals"]["data"].append(made)
    store.emit("transfer.reversed", transfer)
    return made


@handles("GET", "/v1/transfers/{id}/reversals")
def reversals_list(call: Call) -> Object:
    transfer = call.store.get("transfer", call.id)
    return page(call, list(reversed(transfer["reversals"]["data"])))


@handles("GET", "/v1/transfers/{transfer}/reversals/{id}")
def reversal_retrieve(call: Call) -> Object:
    return call.store.get("transfer_reversal", call.ids["id"])


def _check_source(store: Store, charge_id: str, amount: int, currency: str) -> None:
    charge = store.get("charge", charge_id, "source_transaction")
    spent = sum(
        t["amount"] - t["amount_reversed"]
        for t in store.where("transfer", source_transaction=charge_id)
    )
    if charge["currency"] != currency or amount + spent > charge["amount"]:
        raise Refused(
            "Transfers using this transaction as a source must not exceed the source amount of "
            f"{charge['amount']} {charge['currency']}.",
            code="transfer_source_balance_parameters_mismatch",
        )
