"""Operations in a real Chromium: it follows the work by itself and fits its window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from saas.procurement import procurement_submit
from tenants.kernel.scope import system_scope, tenant_scope
from tests.browser.conftest import Visit, overflow
from tests.saas.console.factories import PASSWORD, job_make, operator_make, owner_of
from tests.tenants.costs.factories import operator as staff
from tests.tenants.costs.plans_made import books_make, offer_make, wish
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start
from workers.jobs.models import Job
from workers.jobs.states import State

pytestmark = [pytest.mark.browser, pytest.mark.django_db]


def sign_in(page: Page, email: str) -> None:
    page.goto("/operations/")
    page.fill("[name=login]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button[type=submit]")
    expect(page.locator("#live-overview")).to_be_visible()


def test_the_overview_follows_the_work(visit: Visit) -> None:
    owner, operator = owner_of("Acme"), operator_make()
    job = job_make(owner)
    page = visit()
    sign_in(page, operator.user.email)
    expect(page.locator("#live-overview")).to_contain_text(job.pk)

    with tenant_scope(owner.tenant.id):
        Job.objects.update(state=State.SUCCEEDED)

    expect(page.locator("#live-overview")).to_contain_text("Nothing runs", timeout=15_000)


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_every_page_fits_its_window(
    visit: Visit, screenshots: Callable[[Page, str], None], phone: bool
) -> None:
    job = job_make(owner_of("Acme"))
    page = visit(language="zh-CN", phone=phone)
    sign_in(page, operator_make().user.email)

    for name, url in {
        "overview": "/operations/",
        "job": f"/operations/jobs/job/{job.pk}/change/",
        "workers": "/operations/jobs/worker/",
        "tenants": "/operations/accounts/tenant/",
        "costs": "/operations/costs/",
        "outbox": "/operations/kernel/outboxevent/",
    }.items():
        page.goto(url)
        expect(page.locator("h1")).to_be_visible()
        assert overflow(page) == 0, url
        screenshots(page, f"operations-{'phone' if phone else 'desktop'}-{name}")


def test_a_purchase_plan_is_drawn_and_adopted(visit: Visit) -> None:
    """Committed capacity and the demand's three lines; the button asks before it acts."""
    offer_make(books_make())
    with system_scope():
        plan = procurement_submit(actor=staff(), wish=wish(), key="key_1")
    start(make_worker(), queue="pipeline.cpu").join()
    page = visit()
    sign_in(page, operator_make().user.email)
    page.goto(f"/operations/procurement/{plan.id}/")
    expect(page.locator("canvas[data-bars=plan-data]")).to_be_visible()
    drawn = page.evaluate(
        "() => Chart.getChart(document.querySelector('canvas[data-bars=plan-data]'))"
        ".getSortedVisibleDatasetMetas().map(meta => [meta.type, meta.stack || ''])"
    )
    lines = [stack for kind, stack in drawn if kind == "line"]
    assert len(lines) == len(set(lines)) == 3  # none is drawn on top of another
    assert overflow(page) == 0

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Adopt").click()
    expect(page.get_by_text("The plan is in force")).to_be_visible()
