"""Currencies and the amounts that they can have. https://docs.stripe.com/currencies"""

from __future__ import annotations

from tests.stripe_server.errors import Refused

SUPPORTED = frozenset(
    (
        "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp "
        "byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel "
        "gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd "
        "kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn "
        "nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd "
        "shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst "
        "xaf xcd xof xpf yer zar zmw"
    ).split()
)
NO_DECIMALS = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
WHOLE_BUT_TWO_DECIMALS = frozenset({"isk", "ugx"})  # amounts are in hundredths, which must be 00
WHOLE_PAYOUTS = frozenset({"huf", "twd"})
MOST = 99_999_999
LEAST = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000,
    "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip


def decimals(currency: str) -> int:
    """How many decimals the amounts of a currency count."""
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def currency_check(code: str) -> str:
    """The code in lower case. Raises Refused for what is none of Stripe's."""
    if code.lower() not in SUPPORTED:
        raise Refused(
            f"Invalid currency: {code}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(SUPPORTED))}",
            param="currency",
        )
    return code.lower()


def amount_check(amount: int, currency: str, *, is_payout: bool = False) -> None:
    """Raises Refused for an amount that a currency has no coins for, or that is no amount."""
    if amount < 1:
        raise Refused("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    step = 10 if currency in THREE_DECIMALS else 1
    if currency in WHOLE_BUT_TWO_DECIMALS or (is_payout and currency in WHOLE_PAYOUTS):
        step = 100
    if amount % step:
        raise Refused(
            f"Invalid amount: {amount} {currency} must be a multiple of {step}.", param="amount"
        )


def charge_check(amount: int, currency: str) -> None:
    """Raises Refused where Stripe does not charge as little, or as much."""
    amount_check(amount, currency)
    if amount > MOST:
        raise Refused(
            "Amount must be no more than $999,999.99", code="amount_too_large", param="amount"
        )
    if amount < LEAST.get(currency, 1):
        raise Refused(
            f"Amount must be at least {LEAST[currency]} {currency}",
            code="amount_too_small",
            param="amount",
        )
