"""Money in a real Chromium: wallet, spend, invoices, budgets; prices, books, margins for staff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tenants.accounts.services import api_key_create
from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.kernel.scope import tenant_scope
from tenants.ledger.models import Budget
from tenants.ledger.services import budget_create
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK
from tests.browser.conftest import Visit, overflow, sign_in
from tests.browser.test_operations import sign_in as sign_in_staff
from tests.saas.console.factories import Person, job_make, operator_make, owner_of
from tests.saas.money import Billed, billed, on_credit, stray_transfer, top_up, trained
from tests.saas.operations.test_operations import spend
from tests.tenants.billing.factories import used

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

Take = Callable[[Page, str], None]
LOOKS = [("en-US", False, False), ("zh-CN", True, False), ("zh-CN", False, True)]
NAMES = ["english", "chinese-dark", "phone"]


def history(owner: Person) -> Billed:
    """A finished month, and a running one of which each day used something."""
    month = billed(owner.tenant)
    top_up(owner.tenant, "50.00")
    for day in range(12):
        moment = now() - dt.timedelta(days=day)
        used(owner.tenant.id, f"in{day}", 400_000 + 90_000 * day, moment)
        used(owner.tenant.id, f"out{day}", 200_000 + 50_000 * (day % 4), moment, "tokens.output")
    job = job_make(owner)
    trained(owner.tenant, job.pk, 700_000)
    spend(owner, job, 40)
    with tenant_scope(owner.tenant.id):
        key = api_key_create(actor=owner.actor, name="nightly run").row
        for subject, ref, soft, hard in (
            (Budget.Subject.TENANT, "", "10", "40"),
            (Budget.Subject.API_KEY, key.pk, None, "5"),
        ):
            budget_create(
                actor=owner.actor,
                subject=subject,
                ref=ref,
                currency="USD",
                soft=None if soft is None else Money.of(soft, "USD"),
                hard=Money.of(hard, "USD"),
            )
    return month


@pytest.mark.parametrize(("language", "dark", "phone"), LOOKS, ids=NAMES)
def test_every_page_of_a_customers_money_fits(
    visit: Visit, screenshots: Take, language: str, dark: bool, phone: bool
) -> None:
    owner = owner_of("Harbour & Sons")
    month = history(owner)
    page = visit(language=language, dark=dark, phone=phone)
    sign_in(page, owner.user.email)

    with tenant_scope(owner.tenant.id):
        budget = Budget.objects.order_by("id")[0].pk
    for name, url in {
        "overview": "/console/",
        "wallet": "/console/wallet/",
        "transactions": "/console/ledger/ledgertransaction/",
        "spend": "/console/spend/",
        "invoices": "/console/billing/invoice/",
        "invoice": f"/console/billing/invoice/{month.invoice.pk}/change/",
        "line": f"/console/billing/invoice/{month.invoice.pk}/lines/{month.line.pk}/",
        "budgets": "/console/ledger/budget/",
        "budget": f"/console/ledger/budget/{budget}/change/",
        "budget-new": "/console/ledger/budget/new/",
        "prices": "/console/prices/",
        "details": "/console/billing/details/",
    }.items():
        page.goto(url)
        expect(page.locator("h1")).to_be_visible()
        assert overflow(page) == 0, url
        look = f"{language}-{'phone' if phone else 'dark' if dark else 'light'}"
        screenshots(page, f"money-{look}-{name}")


@pytest.mark.parametrize(("language", "dark", "phone"), LOOKS, ids=NAMES)
def test_every_page_of_the_platforms_money_fits(
    visit: Visit, screenshots: Take, language: str, dark: bool, phone: bool
) -> None:
    owner = owner_of("Harbour & Sons")
    month = history(owner)
    contract, stray = on_credit(owner.tenant), stray_transfer()
    page = visit(language=language, dark=dark, phone=phone)
    sign_in_staff(page, operator_make().user.email)

    for name, url in {
        "margins": "/operations/margins/",
        "book": f"/operations/pricing/pricebook/{LIST_BOOK}/change/",
        "draft": f"/operations/pricing/pricebook/{LIST_BOOK}/do/draft/",
        "version": f"/operations/pricing/pricebookversion/{FIRST_VERSION}/change/",
        "contract": f"/operations/pricing/contract/{contract}/change/",
        "contract-new": "/operations/pricing/contract/new/",
        "wallets": "/operations/ledger/wallet/",
        "statement": f"/operations/billing/statement/{month.statement.pk}/change/",
        "invoice": f"/operations/billing/invoice/{month.invoice.pk}/change/",
        "payments": "/operations/billing/payment/",
        "transfers": "/operations/billing/banktransfer/",
        "transfer": f"/operations/billing/banktransfer/{stray.pk}/change/",
        "books": "/operations/books/",
    }.items():
        page.goto(url)
        expect(page.locator("h1")).to_be_visible()
        assert overflow(page) == 0, url
        look = f"{language}-{'phone' if phone else 'dark' if dark else 'light'}"
        screenshots(page, f"staff-{look}-{name}")


def test_a_budget_is_made_by_hand_and_shows_how_full_it_is(visit: Visit) -> None:
    owner = owner_of("Harbour & Sons")
    used(owner.tenant.id, "a", 2_000_000, now())
    page = visit()
    sign_in(page, owner.user.email)

    page.goto("/console/ledger/budget/")
    page.click("a:has-text('New budget')")
    page.fill("[name=soft]", "1")
    page.fill("[name=hard]", "2")
    page.click("form[enctype] button")

    expect(page.locator("#result_list")).to_contain_text("Beyond the alert")
    expect(page.locator("[role=progressbar]").first).to_have_attribute("aria-valuenow", "60")


def test_an_invoice_downloads_as_pdf(visit: Visit) -> None:
    owner = owner_of("Harbour & Sons")
    month = billed(owner.tenant)
    page = visit()
    sign_in(page, owner.user.email)
    page.goto(f"/console/billing/invoice/{month.invoice.pk}/change/")

    with page.expect_download() as download:
        page.click("a:has-text('PDF')")

    assert download.value.suggested_filename == f"{month.invoice.number}.pdf"
