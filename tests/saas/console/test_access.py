"""Who sees and does what at the console. The pages come from the site's own table of routes."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import URLPattern, URLResolver

from saas.console.readonly import ReadOnlyAdmin
from saas.console.register import console
from saas.operations.register import operations
from tenants.accounts.models import ApiKey, AuditEntry, Member
from tenants.accounts.roles import Role
from tenants.accounts.services import api_key_create
from tenants.billing.models import InvoiceLine
from tenants.kernel.money import Money
from tenants.kernel.scope import tenant_scope
from tenants.ledger.models import Budget, LedgerTransaction
from tenants.ledger.services import budget_create
from tenants.marketplace.models import Service
from tenants.partners.models import Release
from tests.saas.api.factories import Caller, chats, version_make
from tests.saas.api.marketplace import market_rows
from tests.saas.console.factories import Person, colleague_of, job_make
from tests.saas.money import billed
from workers.assets.models import BaseModel, File
from workers.assets.services import file_create
from workers.jobs.models import Job
from workers.jobs.states import State
from workers.serving.models import Deployment
from workers.serving.services import deployment_create

pytestmark = pytest.mark.django_db


def rows_of(person: Person) -> dict[str, str]:
    """One of each kind of row that a tenant owns: the admin's name of the model → an id."""
    version = version_make(Caller(None, person.tenant, person.actor))
    job = job_make(person)
    with tenant_scope(person.tenant.id):
        file = file_create(
            actor=person.actor, filename="a.jsonl", purpose="fine-tune", chunks=[chats()]
        )
        key = api_key_create(actor=person.actor, name="ci").row
        deployment = deployment_create(actor=person.actor, model=version.name)
        member, entry = Member.objects.get(), AuditEntry.objects.first()
        budget = budget_create(
            actor=person.actor,
            subject=Budget.Subject.TENANT,
            currency="USD",
            hard=Money.of("900", "USD"),
        )
    invoice = billed(person.tenant).invoice
    with tenant_scope(person.tenant.id):
        transaction = LedgerTransaction.objects.first()
    assert entry is not None
    assert transaction is not None
    market = market_rows(person.tenant, person.actor)
    owned = (
        file, job, version, deployment, key, member, entry, budget, invoice, transaction, *market
    )  # fmt: skip
    return {f"{row._meta.app_label}/{row._meta.model_name}": row.pk for row in owned}


def act_urls(rows: dict[str, str]) -> list[str]:
    admins = {f"{m._meta.app_label}/{m._meta.model_name}": a for m, a in console._registry.items()}
    return [
        f"/console/{name}/{pk}/do/{act.name}/"
        for name, pk in rows.items()
        for act in admins[name].acts
    ]


def page_urls() -> list[str]:
    return [f"/console/{page.route}" for page in console.pages if "<" not in page.route]


def test_every_row_of_every_list_opens_for_its_owner(owner: Person, base: BaseModel) -> None:
    rows = rows_of(owner)

    for name, pk in rows.items():
        assert owner.get(f"/console/{name}/").status_code == 200
        answer = owner.get(f"/console/{name}/{pk}/change/")
        assert answer.status_code == 200, name
    assert owner.get(f"/console/assets/basemodel/{base.pk}/change/").status_code == 200
    tenant_owned = console._registry.keys() - {BaseModel, Release, Service}
    assert {f"{m._meta.app_label}/{m._meta.model_name}" for m in tenant_owned} == set(rows)


@pytest.mark.parametrize(
    "path", ["jobs/job/%00/change/", "jobs/%00/live/", "jobs/job/?state__exact=x%00"]
)
def test_nul_in_an_address_is_refused(owner: Person, path: str) -> None:
    owner.client.raise_request_exception = False

    assert owner.client.get(f"/console/{path}").status_code == 400


def test_another_tenants_rows_do_not_exist(owner: Person, rival: Person, base: BaseModel) -> None:
    rows = rows_of(rival)
    job_id, version_id = rows["jobs/job"], rows["assets/modelversion"]

    urls = [f"/console/{name}/{pk}/change/" for name, pk in rows.items()]
    urls += [f"/console/jobs/{job_id}/live/", f"/console/models/{version_id}/download/"]
    with tenant_scope(rival.tenant.id):
        line = InvoiceLine.objects.filter(invoice_id=rows["billing/invoice"]).first()
    assert line is not None
    for part in ("pdf", "csv", f"lines/{line.pk}"):
        urls.append(f"/console/billing/invoice/{line.invoice_id}/{part}/")
        assert rival.get(urls[-1]).status_code == 200, urls[-1]
    for url in urls:
        assert owner.get(url).status_code == 404, url
    for url in act_urls(rows):
        assert owner.post(url).status_code == 404, url
    with tenant_scope(rival.tenant.id):
        assert Job.objects.get().state == State.RUNNING
        assert ApiKey.objects.get().revoked_at is None
        assert File.objects.get().deleted_at is None
        assert Deployment.objects.get().deleted_at is None
        assert Member.objects.count() == 1
        assert Budget.objects.get().archived_at is None


def test_lists_show_ones_own_rows_only(owner: Person, rival: Person, base: BaseModel) -> None:
    mine, theirs = rows_of(owner), rows_of(rival)

    for name, pk in mine.items():
        listed = owner.get(f"/console/{name}/").content.decode()
        assert quote(pk) in listed
        assert quote(theirs[name]) not in listed


def test_a_stranger_is_sent_to_sign_in_from_every_page(owner: Person, base: BaseModel) -> None:
    rows = rows_of(owner)
    stranger = Client()

    urls = ["/console/", *page_urls(), *(f"/console/{n}/{pk}/change/" for n, pk in rows.items())]
    for url in urls:
        answer = stranger.get(url)
        assert answer.status_code == 302, url
        assert answer.headers["location"].startswith("/console/login/"), url
    for url in act_urls(rows):
        assert stranger.post(url).status_code == 302, url


def test_a_viewer_can_do_nothing(owner: Person, base: BaseModel) -> None:
    rows = rows_of(owner)
    viewer = colleague_of(owner, Role.VIEWER)

    for url in act_urls(rows):
        assert viewer.post(url).status_code == 403, url
    for page in (
        "files/upload/",
        "accounts/apikey/create/",
        "accounts/member/join/",
        "playground/key/",
        "jobs/job/start/",
        "jobs/job/start/recipe/",
        "ledger/budget/new/",
        "billing/details/",
    ):
        assert viewer.post(f"/console/{page}").status_code == 403, page
    job_page = viewer.get(f"/console/jobs/job/{rows['jobs/job']}/change/").content.decode()
    assert "data-act" not in job_page


@pytest.mark.parametrize("role", Role)
def test_the_menu_leads_only_where_the_role_may_go(owner: Person, role: Role) -> None:
    person = colleague_of(owner, role)

    page = person.get("/console/").content.decode()

    links = set(re.findall(r'href="(/console/[^"?#]*)"', page))
    assert "/console/" in links
    for link in links:
        assert person.get(link).status_code == 200, link


def test_only_staff_come_into_operations(owner: Person, operator: Person) -> None:
    pages = [f"/operations/{page.route}" for page in operations.pages if "<" not in page.route]
    for url in ("/operations/", "/operations/jobs/job/", *pages):
        assert operator.get(url).status_code == 200, url
        assert owner.client.get(url, follow=True).status_code == 403, url
        assert Client().get(url).status_code == 302, url


def test_staff_who_are_no_members_do_not_come_into_a_console(operator: Person) -> None:
    assert operator.client.get("/console/", follow=True).status_code == 403


@pytest.mark.parametrize("site", [console, operations])
def test_nothing_can_be_added_changed_or_deleted_by_hand(
    site: object, owner: Person, operator: Person, base: BaseModel
) -> None:
    person = owner if site is console else operator
    for model, admin in site._registry.items():  # type: ignore[attr-defined]
        assert isinstance(admin, ReadOnlyAdmin)
        where = f"/{site.name}/{model._meta.app_label}/{model._meta.model_name}"  # type: ignore[attr-defined]
        assert person.post(f"{where}/add/").status_code == 403
        assert person.post(f"{where}/x/delete/").status_code in {403, 404, 302}
        assert person.post(f"{where}/", action="delete_selected").status_code in {200, 403}
    with tenant_scope(owner.tenant.id):
        assert Member.objects.exists()
    assert not LogEntry.objects.exists()


def test_acts_are_posts_with_a_token(owner: Person) -> None:
    job = job_make(owner)
    url = f"/console/jobs/job/{job.pk}/do/cancel/"
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = owner.client.cookies

    assert owner.get(url).status_code == 405
    assert browser.post(url).status_code == 403
    with tenant_scope(owner.tenant.id):
        assert Job.objects.get().state == State.RUNNING


def test_every_page_of_a_site_is_behind_its_door() -> None:
    def names(patterns: list[URLPattern | URLResolver]) -> set[str | None]:
        return {p.name for p in patterns if isinstance(p, URLPattern)}

    assert {page.name for page in console.pages} <= names(console.get_urls())
    open_to_all = {page.name for page in console.pages if not page.permission}
    assert open_to_all == {"switch"}, "every other page names the permission it needs"
