"""Making a model smaller in the browser: price, progress, cancelling, plot, deploying."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tenants.kernel.scope import system_scope, tenant_scope
from tests.browser.conftest import Visit, overflow, sign_in
from tests.saas.api.factories import SEARCH, Caller, chats, compression_end, version_make
from tests.saas.console.factories import Person, event_add, owner_of
from tests.workers.engine.factories import base_folder
from tests.workers.serving.factories import text_base
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.jobs.progress import curve_point
from workers.jobs.states import State
from workers.serving.models import Deployment

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

Take = Callable[[Page, str], None]


@pytest.fixture
def base(db: None, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return text_base(base_folder(tmp_path_factory.mktemp("browser") / "tiny"))


@pytest.fixture
def owner(db: None) -> Person:
    return owner_of("Acme")


def started(page: Page, owner: Person, tmp_path: Path) -> Job:
    """Through the form and the price to a queued job; the page is then the job's."""
    data = tmp_path / "questions.jsonl"
    data.write_bytes(chats(40))
    page.goto("/console/assets/file/")
    page.set_input_files("#upload-file", data)
    page.click("form:has(#upload-file) button")
    expect(page.locator("h1")).to_contain_text("questions.jsonl")
    page.goto("/console/jobs/job/")
    page.click("a[href$='/jobs/job/compress/']")
    page.fill("[name=suffix]", "small")
    page.click("#compress button[type=submit]")
    expect(page.locator("#quote")).to_be_visible()
    page.click("#quote button[name=quote_id]")
    expect(page.locator("#live-badge")).to_be_visible()
    with tenant_scope(owner.tenant.id):
        return Job.objects.get()


def test_a_model_is_made_smaller_watched_and_deployed(
    visit: Visit, owner: Person, base: BaseModel, tmp_path: Path, screenshots: Take
) -> None:
    page = visit()
    sign_in(page, owner.user.email)
    job = started(page, owner, tmp_path)
    assert job.spec["settings"]["target"]["latency"] == 0.5  # what the form offers by itself
    expect(page.locator("#live-badge")).to_have_text("Queued")

    with system_scope():
        Job.objects.filter(pk=job.pk).update(state=State.RUNNING, step=3, steps=12)
    event_add(job, "50% by wanda, int8_dynamic: 0.40 of the latency (by proxy).")
    event_add(job, **curve_point(3, 12, {"loss": 3.0}))
    expect(page.locator("#live-percent")).to_have_text("25%")
    expect(page.locator("#live-events")).to_contain_text("by proxy")

    version = version_make(Caller(None, owner.tenant, owner.actor), base.pk, "small")
    compression_end(job.pk, name=version.name, search=SEARCH)
    expect(page.locator("#compression")).to_contain_text("The target is reached.")
    expect(page.locator("#pareto svg circle")).to_have_count(2)
    expect(page.locator("#pareto svg")).to_contain_text("Time, of the whole model's")
    screenshots(page, "compression")
    page.click("[data-act=deploy] button")
    expect(page.locator("[data-act=deploy]")).to_have_count(0)
    with tenant_scope(owner.tenant.id):
        assert Deployment.objects.get(model=version.name).state == Deployment.State.WAKING


def test_a_compression_is_cancelled_on_a_phone_in_chinese(
    visit: Visit, owner: Person, base: BaseModel, tmp_path: Path, screenshots: Take
) -> None:
    page = visit(language="zh-CN", phone=True)
    sign_in(page, owner.user.email)
    job = started(page, owner, tmp_path)
    assert overflow(page) == 0
    page.goto("/console/jobs/job/compress/")
    expect(page.locator("h1")).to_contain_text("缩小模型")
    expect(page.locator("label[for=id_quality_loss]")).to_have_text("允许损失的质量（百分比）")
    assert overflow(page) == 0
    screenshots(page, "compress-zh")

    page.goto(f"/console/jobs/job/{job.pk}/change/")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("[data-act=cancel] button")
    expect(page.locator("#live-badge")).to_have_text("已取消")
    with tenant_scope(owner.tenant.id):
        assert Job.objects.get().state == State.CANCELLED
