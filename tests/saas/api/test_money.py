"""Money over the API: what is answered is what the books say; staff act once for each key."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from tenants.accounts.roles import Role
from tenants.billing.focus.columns import COLUMNS
from tenants.billing.manual.references import top_up_reference
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import CreditGrant
from tenants.pricing.quotes import QuoteLine, quote_make
from tests.saas.api.factories import Caller, tenant_caller
from tests.saas.money import billed, last_month, top_up, trained
from tests.tenants.billing.factories import used

pytestmark = pytest.mark.django_db


def tenant_id(caller: Caller) -> str:
    assert caller.tenant is not None
    return str(caller.tenant.id)


def test_the_wallet_adds_up(api: Caller) -> None:
    assert api.tenant is not None
    top_up(api.tenant, "25.00")
    used(tenant_id(api), "a", 1_000_000, now())

    wallet = api.get("/v1/wallet").json
    moved = api.get("/v1/wallet/transactions?limit=100").json["data"]

    assert wallet["available"] == "1024.4"
    assert wallet["top_up"]["reference"] == top_up_reference(tenant_id(api))
    assert sum(Decimal(grant["remaining"]) for grant in wallet["grants"]) == Decimal("1024.4")
    left = -sum(Decimal(p["amount"]) for row in moved for p in row["postings"])
    assert left == Decimal("1024.4")
    accounts = {p["account"] for row in moved for p in row["postings"]}
    assert accounts == {"grant", "receivable"}, "only one's own accounts are shown"


def test_transactions_are_listed_by_kind(api: Caller) -> None:
    used(tenant_id(api), "a", 1_000_000, now())

    charges = api.get("/v1/wallet/transactions?kind=charge").json["data"]

    assert [row["kind"] for row in charges] == ["charge"]


def test_a_budget_lives_and_ends(api: Caller) -> None:
    made = api.post("/v1/budgets", {"soft": "1", "hard": "2"}).json
    used(tenant_id(api), "a", 1_000_000, now())
    where = f"/v1/budgets/{made['id']}"

    changed = api.post(where, {"soft": None}).json
    ended = api.delete(where).json

    assert (made["soft"], made["hard"], made["subject"]) == ("1", "2", "tenant")
    assert (changed["soft"], changed["hard"], changed["spent"]) == (None, "2", "0.6")
    assert ended["archived_at"] is not None
    assert api.get("/v1/budgets").json["data"] == []
    assert len(api.get("/v1/budgets?archived=true").json["data"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"hard": "-1"},
        {"hard": "1e40"},
        {"hard": "NaN"},
        {"soft": "3", "hard": "1"},
        {"hard": "1", "subject": "galaxy"},
        {"hard": "1", "subject": "model"},
        {"hard": "1", "subject": "tenant", "ref": "x"},
    ],
)
def test_a_faulty_budget_is_refused(api: Caller, body: dict[str, str]) -> None:
    reply = api.post("/v1/budgets", body)

    assert reply.status == 400, reply.content
    assert api.get("/v1/budgets").json["data"] == []


def test_the_same_budget_twice_is_a_conflict(api: Caller) -> None:
    api.post("/v1/budgets", {"hard": "2"})

    assert api.post("/v1/budgets", {"hard": "3"}).status == 409


def test_an_invoice_in_every_form_says_the_same(api: Caller) -> None:
    assert api.tenant is not None
    month = billed(api.tenant)
    where = f"/v1/invoices/{month.invoice.id}"

    full = api.get(where).json
    rows = list(csv.DictReader(io.StringIO(api.get(f"{where}/csv").content.decode())))
    pdf = api.get(f"{where}/pdf")

    assert [row["id"] for row in api.get("/v1/invoices").json["data"]] == [month.invoice.id]
    assert sum(Decimal(line["net"]) for line in full["lines"]) == Decimal(full["net"])
    assert Decimal(full["net"]) + Decimal(full["tax"]) == Decimal(full["total"])
    lines = [row for row in rows if row["row"] == "line"]
    assert sum(Decimal(row["amount"]) for row in lines) == Decimal(full["net"])
    assert pdf.content.startswith(b"%PDF")
    assert pdf.headers["content-type"] == "application/pdf"


def test_a_line_is_explained_down_to_the_last_event(api: Caller) -> None:
    assert api.tenant is not None
    period = last_month()
    for number in range(5):
        used(tenant_id(api), f"e{number}", 1000 + number, period.start)
    month = billed(api.tenant)
    full = api.get(f"/v1/invoices/{month.invoice.id}").json
    line = next(row for row in full["lines"] if row["meter"] == "tokens.input")
    where = f"/v1/invoices/{month.invoice.id}/lines/{line['id']}?limit=2"

    quantity, pages, page = Decimal(0), 0, ""
    while True:
        found = api.get(where + (f"&page={page}" if page else "")).json
        quantity += sum(Decimal(event["quantity"]) for event in found["events"])
        pages += 1
        if (page := found["next_page"]) is None:
            break

    assert quantity == Decimal(line["quantity"]) == Decimal(3_005_010)
    assert (pages, found["event_count"]) == (3, 6)
    assert found["arithmetic"]["amount"] == line["exact"]
    steps = sum(Decimal(step["amount"]) for step in found["arithmetic"]["steps"])
    assert steps == Decimal(line["exact"])


def test_a_line_of_another_invoice_is_not_found(api: Caller) -> None:
    assert api.tenant is not None
    month = billed(api.tenant)

    assert api.get(f"/v1/invoices/inv_x/lines/{month.line.id}").status == 404


def test_the_upcoming_invoice_is_what_was_charged(api: Caller) -> None:
    assert api.tenant is not None
    used(tenant_id(api), "a", 1_000_000, now())
    trained(api.tenant, "ftjob-1")

    found = api.get("/v1/invoices/upcoming").json

    assert {line["revenue"]: line["exact"] for line in found["lines"]} == {
        "tokens": "0.6",
        "training": "4",
    }
    assert (found["total"], found["prepaid"], found["due"]) == ("4.6", "4.6", "0")


def test_the_rate_card_prices_every_meter(api: Caller) -> None:
    card = api.get("/v1/prices").json

    by_meter = {price["meter"]: price for price in card["prices"]}
    assert by_meter["tokens.trained"]["charge"] == {
        "model": "standard",
        "unit": "4",
        "per": "1000000",
    }
    assert (card["currency"], card["contract_id"], card["discount"]) == ("USD", "", "0")
    assert api.get("/v1/prices?at=0").status == 400
    assert api.get("/v1/prices?at=9999999999").status == 400


def test_focus_sums_to_what_is_due(api: Caller) -> None:
    assert api.tenant is not None
    billed(api.tenant)
    used(tenant_id(api), "a", 1_000_000, now())

    past = api.get(f"/v1/exports/focus?period={last_month()}")
    running = api.get("/v1/exports/focus")

    for reply, usage in ((past, "7.2"), (running, "0.6")):
        rows = list(csv.DictReader(io.StringIO(reply.content.decode())))
        assert list(rows[0]) == [column.name for column in COLUMNS]
        assert sum(Decimal(row["BilledCost"]) for row in rows) == 0, "credit has paid it all"
        used_rows = [row for row in rows if row["ChargeCategory"] == "Usage"]
        assert sum(Decimal(row["BilledCost"]) for row in used_rows) == Decimal(usage)
    assert api.get("/v1/exports/focus?period=2026-13").status == 400


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
def test_money_is_for_those_whose_role_it_is(role: Role) -> None:
    caller = tenant_caller("Acme", role=role)

    assert caller.get("/v1/wallet").status == 403
    assert caller.get("/v1/invoices").status == 403
    assert caller.post("/v1/budgets", {"hard": "1"}).status == 403
    assert caller.get("/v1/prices").status == 200


def test_credit_is_granted_once_for_a_key(api: Caller, operator: Caller) -> None:
    body = {
        "tenant_id": tenant_id(api),
        "amount": "5.5",
        "kind": "promotion",
        "reason": "sorry for yesterday",
    }
    first = operator.post("/operator/v1/grants", body, Idempotency_Key="k1")
    again = operator.post("/operator/v1/grants", body, Idempotency_Key="k1")
    other = operator.post("/operator/v1/grants", body | {"amount": "6"}, Idempotency_Key="k1")

    assert (first.status, again.status, other.status) == (201, 201, 409)
    assert first.json["id"] == again.json["id"]
    with tenant_scope(tenant_id(api)):
        assert CreditGrant.objects.filter(source="sorry for yesterday").count() == 1


@pytest.mark.parametrize(
    "change",
    [{"amount": "0"}, {"amount": "-1"}, {"kind": "paid"}, {"expires_at": 5}, {"currency": "usd"}],
)
def test_faulty_credit_is_refused(api: Caller, operator: Caller, change: dict[str, object]) -> None:
    body = {"tenant_id": tenant_id(api), "amount": "5", "kind": "promotion", "reason": "x"}

    assert operator.post("/operator/v1/grants", body | change).status == 400


def test_a_payment_is_taken_once(api: Caller, operator: Caller) -> None:
    body = {"tenant_id": tenant_id(api), "external_id": "b-7", "amount": "12.50"}

    replies = [operator.post("/operator/v1/payments", body) for _ in range(2)]
    conflict = operator.post("/operator/v1/payments", body | {"amount": "13.00"})

    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].json["id"] == replies[1].json["id"]
    assert conflict.status == 409
    assert api.get("/v1/wallet").json["available"] == "1012.5"
    refund = operator.post(
        f"/operator/v1/payments/{replies[0].json['id']}/refunds", {"amount": "2.5"}
    )
    assert (refund.status, api.get("/v1/wallet").json["available"]) == (201, "1010")


def test_the_banks_list_is_taken_whole_or_not_at_all(operator: Caller) -> None:
    head = "date,amount,currency,reference,payer,bank_id\n"
    good = f"{head}{now():%Y-%m-%d},3.00,USD,hello,A,b1\n"

    taken = operator.post("/operator/v1/bank_transfers", {"csv": good}).json
    known = operator.post("/operator/v1/bank_transfers", {"csv": good}).json
    bad = operator.post("/operator/v1/bank_transfers", {"csv": f"{good}x,y,z,,,\n"})

    assert (taken["unmatched"], known["known"], bad.status) == (1, 1, 400)
    listed = operator.get("/operator/v1/bank_transfers?state=unmatched").json["data"]
    assert [row["bank_id"] for row in listed] == ["b1"]


def test_a_version_is_drafted_and_published(operator: Caller) -> None:
    made = operator.post("/operator/v1/price_books", {"name": "Key accounts"}).json
    lists = operator.get("/operator/v1/price_versions/bookv_list_1").json["prices"]
    where = f"/operator/v1/price_books/{made['id']}/versions"

    gap = operator.post(where, {"prices": lists[1:]}).json
    refused = operator.post(f"/operator/v1/price_versions/{gap['id']}/publish", {})
    whole = operator.post(where, {"prices": lists, "note": "first"}).json
    published = operator.post(f"/operator/v1/price_versions/{whole['id']}/publish", {})

    assert (refused.status, refused.error["code"]) == (400, "price_gap")
    assert published.json["published_at"] is not None
    assert operator.post(f"/operator/v1/price_versions/{whole['id']}/publish", {}).status == 409
    assert [price["meter"] for price in whole["prices"]] == [price["meter"] for price in lists]


def test_a_contract_changes_the_rate_card_and_ends(api: Caller, operator: Caller) -> None:
    body = {"tenant_id": tenant_id(api), "discount": "0.25", "credit_limit": "40"}
    made = operator.post("/operator/v1/contracts", body)

    card, wallet = api.get("/v1/prices").json, api.get("/v1/wallet").json
    ended = operator.post(f"/operator/v1/contracts/{made.json['id']}/end", {})

    assert made.status == 201, made.content
    assert (card["discount"], card["contract_id"]) == ("0.25", made.json["id"])
    assert (wallet["credit_limit"], wallet["available"]) == ("40", "1040")
    assert ended.json["ends"] is not None


def test_an_invoice_is_given_back_to_its_wallet(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    month = billed(api.tenant)
    where = f"/operator/v1/invoices/{month.invoice.id}/credit_notes"
    body = {"reason": "half of it failed", "to": "wallet", "lines": {month.line.id: "1.00"}}

    note = operator.post(where, body, Idempotency_Key="n1")
    again = operator.post(where, body, Idempotency_Key="n1")

    assert (note.status, note.json["total"]) == (201, "1")
    assert again.json["number"] == note.json["number"]
    assert api.get("/v1/wallet").json["available"] == "993.8"


def test_the_trial_balance_is_zero_and_nothing_is_wrong(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    billed(api.tenant)
    top_up(api.tenant)

    books = operator.get("/operator/v1/ledger").json

    assert books["sums"] == {"USD": "0"}
    assert (books["unbalanced"], books["wrong"]) == ([], [])
    assert {"revenue", "cash", "grant", "receivable"} >= {
        row["kind"] for row in books["accounts"] if row["balance"] != "0"
    } - {"tax_payable", "rounding"}


def test_margins_and_the_error_of_quotes(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    assert api.actor is not None
    million = Decimal(1_000_000)
    with tenant_scope(api.tenant.id):
        quote = quote_make(
            actor=api.actor,
            kind="fine_tune",
            fingerprint="f" * 64,
            lines=[QuoteLine("tokens.trained", million, 2 * million, 3 * million)],
        )
    trained(api.tenant, "ftjob-1", quote_id=quote.id)

    (margin,) = operator.get("/operator/v1/margins").json["data"]
    (error,) = operator.get("/operator/v1/quote_errors").json["data"]

    assert (margin["quoted"], margin["quoted_high"], margin["charged"]) == ("8", "12", "4")
    assert (error["error"], error["within"], error["actual"]) == ("-4", True, "4")


def test_a_statement_is_final_once_and_rates_the_same_again(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    statement = billed(api.tenant).statement
    where = f"/operator/v1/statements/{statement.id}"

    assert operator.post(f"{where}/rerate").json["bytes"] > 100
    assert operator.post(f"{where}/finalise").status == 409
    listed = operator.get(f"/operator/v1/statements?tenant={tenant_id(api)}&state=final").json
    assert [row["id"] for row in listed["data"]] == [statement.id]
    assert len(listed["data"][0]["sha256"]) == 64


def test_tax_is_set_by_staff(operator: Caller) -> None:
    body = {"jurisdiction": "DE", "name": "MwSt.", "rate": "0.19", "valid_from": 1767225600}

    assert operator.post("/operator/v1/tax_rates", body).json["rate"] == "0.19"
    assert operator.post("/operator/v1/tax_rates", body).status == 409
    assert operator.post("/operator/v1/tax_rates", body | {"rate": "1.5"}).status == 400


def test_nobody_is_granted_anything_who_is_not_there(operator: Caller) -> None:
    body = {"tenant_id": new_id("ten_"), "amount": "5", "kind": "promotion", "reason": "x"}

    assert operator.post("/operator/v1/grants", body).status == 404
    with system_scope():
        assert not CreditGrant.objects.exists()
