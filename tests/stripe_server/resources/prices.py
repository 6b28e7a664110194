"""Products and prices, and what a line of them comes to. https://docs.stripe.com/api/prices"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.currencies import currency_check
from tests.stripe_server.store import Object, Store

DECIMALS = 12
_FIELDS = (
    "product", "product_data", "active", "billing_scheme", "currency", "recurring", "lookup_key",
    "nickname", "metadata", "unit_amount", "unit_amount_decimal",
)  # fmt: skip

lists("/v1/products", "product", "active")
lists("/v1/prices", "price", "product", "active", "currency", "type")
retrieves("/v1/products/{id}", "product")
retrieves("/v1/prices/{price}", "price")


@handles("POST", "/v1/products")
def product_create(call: Call) -> Object:
    made = call.store.add(
        "product",
        name=call.params["name"],
        active=call.params.get("active", True),
        description=call.params.get("description"),
        metadata=metadata({}, call.params.get("metadata")),
    )
    call.store.emit("product.created", made)
    return made


@handles("POST", "/v1/products/{id}")
def product_update(call: Call) -> Object:
    found = call.store.get("product", call.id)
    found.update(call.given("name", "active", "description"))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("product.updated", found)
    return found


@handles("POST", "/v1/prices")
def price_create(call: Call) -> Object:
    params = call.params
    made = price_make(call.store, {name: params[name] for name in _FIELDS if name in params})
    call.store.emit("price.created", made)
    return made


@handles("POST", "/v1/prices/{price}")
def price_update(call: Call) -> Object:
    found = call.store.get("price", call.id)
    found.update(call.given("active", "lookup_key", "nickname"))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("price.updated", found)
    return found


def price_make(store: Store, params: Mapping[str, Any]) -> Object:
    """A price of its own, or the one behind `price_data`."""
    product = params.get("product")
    if product is None and "product_data" in params:
        product = store.add("product", name=params["product_data"]["name"], active=True,
                            metadata={}, description=None)["id"]  # fmt: skip
    if product is None:
        raise Refused("You must specify either `product` or `product_data`.", param="product")
    store.get("product", product, "product")
    amounts = price_amounts(params, "")
    recurring = params.get("recurring")
    return store.add(
        "price",
        product=product,
        active=params.get("active", True),
        billing_scheme=params.get("billing_scheme", "per_unit"),
        currency=currency_check(params["currency"]),
        type="recurring" if recurring else "one_time",
        recurring={"interval_count": 1, "usage_type": "licensed", "meter": None, **recurring}
        if recurring
        else None,
        lookup_key=params.get("lookup_key"),
        nickname=params.get("nickname"),
        metadata=metadata({}, params.get("metadata")),
        **amounts,
    )


def price_amounts(params: Mapping[str, Any], path: str) -> dict[str, Any]:
    """`unit_amount` and `unit_amount_decimal`, of which one is given.

    The decimal has at most 12 places. Raises Refused.
    """
    exact = params.get("unit_amount_decimal")
    whole = params.get("unit_amount")
    if (exact is None) == (whole is None):
        raise Refused(
            "Prices require a `unit_amount` or `unit_amount_decimal` parameter to be set.",
            param=f"{path}[unit_amount]" if path else "unit_amount",
        )
    if exact is None:
        return {"unit_amount": whole, "unit_amount_decimal": str(whole)}
    exact = Decimal(exact)
    if -int(exact.as_tuple().exponent) > DECIMALS:
        raise Refused(
            f"Invalid decimal: {exact}; must contain at maximum {DECIMALS} decimal places.",
            code="parameter_invalid_decimal",
            param=f"{path}[unit_amount_decimal]" if path else "unit_amount_decimal",
        )
    is_whole = exact == exact.to_integral_value()
    return {"unit_amount": int(exact) if is_whole else None, "unit_amount_decimal": f"{exact:f}"}


def line_amount(store: Store, item: Mapping[str, Any], path: str) -> tuple[int, str]:
    """(whole units, currency) of a price times a quantity: Stripe rounds the product, half up."""
    quantity = item.get("quantity", 1)
    if data := item.get("price_data"):
        amounts, currency = price_amounts(data, f"{path}[price_data]"), data["currency"]
    elif name := item.get("price"):
        amounts = store.get("price", name, f"{path}[price]")
        currency = amounts["currency"]
    else:
        raise Refused("You must specify either `price` or `price_data`.", param=path)
    total = Decimal(amounts["unit_amount_decimal"]) * quantity
    return int(total.quantize(Decimal(1), ROUND_HALF_UP)), currency.lower()
