"""The console as people meet it: sign-up, upload, a job that moves, a talk with a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tenants.accounts.models import ApiKey, Tenant
from tenants.accounts.selectors import actor_by_api_key
from tenants.kernel.scope import system_scope, tenant_scope
from tests.browser.conftest import Visit, overflow, sign_in
from tests.saas.api.factories import Caller, chats, usage_make, version_make
from tests.saas.console.factories import PASSWORD, Person, event_add, job_make, owner_of
from tests.workers.engine.factories import base_folder
from tests.workers.serving.factories import text_base
from tests.workers.serving.replicas import ReplicaProcess, claimed
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.jobs.progress import curve_point
from workers.jobs.states import State
from workers.serving.replicas import Serving
from workers.serving.runtime.host import ReplicaSettings

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

Take = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_folder(tmp_path_factory.mktemp("browser") / "tiny")


@pytest.fixture
def base(db: None, tiny: Path) -> BaseModel:
    return text_base(tiny)


@pytest.fixture
def owner(db: None) -> Person:
    return owner_of("Acme")


def test_signing_up_leads_into_ones_own_console(visit: Visit, screenshots: Take) -> None:
    page = visit()
    page.goto("/")
    page.click("text=Sign up")
    page.fill("[name=organisation]", "Harbour & Sons")
    page.fill("[name=email]", "ann@example.com")
    page.fill("[name=password1]", PASSWORD)
    screenshots(page, "sign-up")
    page.click("text=Create the organisation")

    expect(page.locator("h1")).to_contain_text("Overview")
    expect(page.locator("#nav-sidebar")).to_contain_text("Harbour & Sons")
    with system_scope():
        assert Tenant.objects.filter(name="Harbour & Sons").exists()
    screenshots(page, "first-overview")


def test_data_is_uploaded_checked_and_made_into_a_job(
    visit: Visit, owner: Person, base: BaseModel, tmp_path: Path, screenshots: Take
) -> None:
    data = tmp_path / "questions.jsonl"
    data.write_bytes(chats(40))
    page = visit()
    sign_in(page, owner.user.email)

    page.goto("/console/assets/file/")
    page.set_input_files("#upload-file", data)
    page.click("button:has-text('Upload')")
    expect(page.locator("h1")).to_contain_text("questions.jsonl")
    page.click("[data-act=check] button")
    expect(page.locator("h2:has-text('Datasets')")).to_be_visible()
    expect(page.locator("table").first).to_contain_text("Valid")
    screenshots(page, "file")
    page.click("a:has-text('Fine-tune')")
    page.fill("[name=suffix]", "answers")
    page.fill("[name=n_epochs]", "2")
    screenshots(page, "fine-tune")
    page.click("button:has-text('Show the price')")
    expect(page.locator("#quote")).to_contain_text("At most")
    screenshots(page, "fine-tune-quote")
    page.click("button:has-text('Confirm and start')")

    expect(page.locator("#live-badge")).to_have_text("Queued")
    with tenant_scope(owner.tenant.id):
        assert Job.objects.get().spec["suffix"] == "answers"


def test_the_job_page_moves_by_itself(visit: Visit, owner: Person, screenshots: Take) -> None:
    job = job_make(owner, step=1, steps=4, remaining_s=9.0)
    event_add(job, **curve_point(1, 4, {"loss": 3.0}))
    page = visit()
    sign_in(page, owner.user.email)
    page.goto(f"/console/jobs/job/{job.pk}/change/")
    expect(page.locator("#live-percent")).to_have_text("25%")
    expect(page.locator("#live-remaining")).to_have_text("about 9 s left")
    assert points_drawn(page) == [[[1, 3]], []]

    event_add(job, **curve_point(2, 4, {"loss": 2.0, "validation_loss": 2.5}))
    event_add(job, "Half-way <there>")
    job_set(owner, job, step=2, remaining_s=5.0)

    expect(page.locator("#live-percent")).to_have_text("50%")
    expect(page.locator("#live-events")).to_contain_text("Half-way <there>")
    assert points_drawn(page) == [[[1, 3], [2, 2]], [[2, 2.5]]]
    screenshots(page, "job")

    job_set(owner, job, state=State.SUCCEEDED, step=4, result={"model_name": "ft:x"})

    expect(page.locator("#live-badge")).to_have_text("Succeeded")
    expect(page.locator("#live-percent")).to_have_text("100%")
    expect(page.locator("main, #content")).to_contain_text("ft:x")


def test_pausing_and_resuming_from_the_page(visit: Visit, owner: Person) -> None:
    job = job_make(owner, state=State.QUEUED)
    page = visit()
    sign_in(page, owner.user.email)
    page.goto(f"/console/jobs/job/{job.pk}/change/")

    page.click("[data-act=pause] button")
    expect(page.locator("#live-badge")).to_have_text("Paused")
    page.click("[data-act=resume] button")
    expect(page.locator("#live-badge")).to_have_text("Queued")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("[data-act=cancel] button")
    expect(page.locator("#live-badge")).to_have_text("Queued")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("[data-act=cancel] button")
    expect(page.locator("#live-badge")).to_have_text("Cancelled")


def test_a_key_is_made_and_copied(visit: Visit, owner: Person, screenshots: Take) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    sign_in(page, owner.user.email)
    page.goto("/console/accounts/apikey/")
    page.fill("#key-name", "ci")
    page.click("text=Make a key")
    secret = page.locator("#secret").inner_text()
    page.click("button:has-text('Copy')")

    expect(page.locator("button:has-text('Copied')")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert actor_by_api_key(secret).tenant_id == owner.tenant.id
    screenshots(page, "key")


def test_the_playground_streams_an_answer_and_meters_it(
    visit: Visit, owner: Person, base: BaseModel, tiny: Path, tmp_path: Path, screenshots: Take
) -> None:
    settings = ReplicaSettings("text_generation", tiny, secret="s" * 32)
    process = ReplicaProcess(settings, tmp_path / "replica")
    try:
        process.wait()
        with process.entered(claimed(Serving("tiny", "tiny"), tmp_path / "parent")):
            page = visit()
            sign_in(page, owner.user.email)
            page.goto("/console/playground/")
            page.fill("#max-tokens", "24")
            page.fill("#prompt", "What follows 3?")
            page.press("#prompt", "Enter")

            expect(page.locator(".bw-turn-user")).to_have_text("What follows 3?")
            expect(page.locator("#meter")).to_have_text(re.compile(r"\d+ tokens, [\d.]+ s"))
            assert page.locator(".bw-turn-assistant").inner_text().strip()
            screenshots(page, "playground")
    finally:
        process.kill()
    with tenant_scope(owner.tenant.id):
        assert [key.scopes for key in ApiKey.objects.all()] == [["inference"]]


def test_the_playground_says_what_went_wrong(visit: Visit, owner: Person, base: BaseModel) -> None:
    page = visit(refused="/v1/chat/completions")
    sign_in(page, owner.user.email)
    page.goto("/console/playground/")
    page.evaluate("document.querySelector('#model option').textContent = 'no-such-model'")
    with page.expect_response("**/v1/chat/completions") as answered:
        page.fill("#prompt", "Hello")
        page.click("#send")

    assert answered.value.status == 404
    expect(page.locator(".bw-turn-error")).to_contain_text("no-such-model")


def test_the_menu_the_language_and_the_dark_on_a_phone(
    visit: Visit, owner: Person, screenshots: Take
) -> None:
    page = visit(phone=True)
    sign_in(page, owner.user.email)

    page.click("#open-menu")
    page.click("#nav-sidebar >> text=Jobs")
    expect(page.locator("h1")).to_contain_text("Jobs")
    page.click("#open-menu")
    page.click(f"#nav-sidebar >> text={owner.user.email} >> nth=0")
    page.click("text=简体中文")
    expect(page.locator("h1")).to_contain_text("任务")
    page.click("#open-menu")
    page.click(f"#nav-sidebar >> text={owner.user.email} >> nth=0")
    page.click("#nav-sidebar >> text=深色")
    assert page.evaluate("document.documentElement.classList.contains('dark')")
    screenshots(page, "phone-menu")
    page.reload()
    assert page.evaluate("document.documentElement.classList.contains('dark')")


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    ("language", "dark"), [("en-US", False), ("zh-CN", True)], ids=["english", "chinese-dark"]
)
def test_every_page_fits_its_window(
    visit: Visit,
    owner: Person,
    base: BaseModel,
    screenshots: Take,
    language: str,
    dark: bool,
    phone: bool,
) -> None:
    job = job_make(owner, remaining_s=100.0)
    for step in range(1, 11):
        event_add(job, **curve_point(step, 40, {"loss": 3 / step}))
    caller = Caller(None, owner.tenant, owner.actor)
    usage_make(caller, 1200)
    version = version_make(caller, base.pk)
    page = visit(language=language, dark=dark, phone=phone)
    sign_in(page, owner.user.email)

    pages = {
        "overview": "/console/",
        "jobs": "/console/jobs/job/",
        "job": f"/console/jobs/job/{job.pk}/change/",
        "files": "/console/assets/file/",
        "models": "/console/assets/modelversion/",
        "model": f"/console/assets/modelversion/{version.pk}/change/",
        "base": "/console/assets/basemodel/",
        "fine-tune": "/console/jobs/job/start/",
        "playground": "/console/playground/",
        "usage": "/console/usage/",
        "keys": "/console/accounts/apikey/",
        "members": "/console/accounts/member/",
        "audit": "/console/accounts/auditentry/",
    }
    for name, url in pages.items():
        page.goto(url)
        expect(page.locator("h1")).to_be_visible()
        assert overflow(page) == 0, url
        assert buttons_outside_the_header(page) == 0, url
        screenshots(page, f"{language}-{'phone' if phone else 'desktop'}-{name}")


def buttons_outside_the_header(page: Page) -> int:
    """How many of the header's buttons are cut off by it."""
    count: int = page.evaluate(
        """() => {
            const inner = document.getElementById("header-inner");
            const box = inner.parentElement.parentElement.getBoundingClientRect();
            const fits = (b) => b.top >= box.top && b.bottom <= box.bottom && b.right <= box.right;
            return [...inner.querySelectorAll(".bw-button")]
                .filter((button) => !fits(button.getBoundingClientRect())).length;
        }"""
    )
    return count


def points_drawn(page: Page) -> list[list[list[float]]]:
    """The points of each line of the loss curve, as Chart.js holds them."""
    drawn: list[list[list[float]]] = page.evaluate(
        "Chart.getChart('live-curve').data.datasets.map(s => s.data.map(p => [p.x, p.y]))"
    )
    return drawn


def job_set(person: Person, job: Job, **fields: object) -> None:
    with tenant_scope(person.tenant.id):
        Job.objects.filter(pk=job.pk).update(**fields)
