"""The marketplace in the web admins: a partner submits, staff review, a customer enables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tenants.kernel.scope import system_scope, tenant_scope
from tenants.marketplace.models import Listing, Order, Service
from tenants.marketplace.services.reviews import reviews_run
from tenants.partners.models import Agreement, Installation, Release
from tests.saas.api.marketplace import partner_become
from tests.saas.console.factories import Person
from tests.tenants.partners.releases import report_of, wheel_of

pytestmark = pytest.mark.django_db
TERMS = {"currency": "USD", "lines": {"plugins": {"share": "0.7"}}}


@pytest.fixture
def partner(rival: Person) -> Person:
    partner_become(rival.tenant)
    return rival


def listing_submitted(partner: Person, folder: Path) -> Listing:
    wheel = wheel_of(folder)
    page = partner.post(
        "/console/listings/submit/",
        wheel=SimpleUploadedFile(wheel.name, wheel.read_bytes()),
        title="Counting",
        conformance=json.dumps(report_of(wheel, "counting", "1.0")),
    )
    assert page.status_code == 302, page.content.decode()
    with system_scope():
        found: Listing = Listing.objects.get()
    return found


def test_a_plugin_goes_from_a_form_to_another_organisation(
    owner: Person, partner: Person, operator: Person, tmp_path: Path
) -> None:
    listing = listing_submitted(partner, tmp_path)
    review = f"/operations/marketplace/listing/{listing.pk}"
    agreed = operator.post(
        "/operations/partners/agreement/new/",
        partner_id=partner.tenant.id,
        terms=json.dumps(TERMS),
    )
    assert agreed.status_code == 302, agreed.content.decode()
    with system_scope():
        assert Agreement.objects.get().tenant_id == partner.tenant.id
    operator.post(f"{review}/do/check/")
    assert "Under check" in operator.get(f"{review}/change/").content.decode()
    assert reviews_run() == 1
    operator.post(f"{review}/do/approve/", reason="a person has looked")
    operator.post(f"{review}/do/publish/", reason="")
    page = operator.get(f"{review}/change/").content.decode()
    assert "a person has looked" in page
    assert "Published" in page
    assert "once a call however often it is made" in page  # what the kit saw
    with system_scope():
        release = Release.objects.get()

    assert "Counting" in owner.get("/console/partners/release/").content.decode()
    offer = f"/console/partners/release/{release.pk}/do/enable/"
    assert "This field is required" in owner.post(offer, settings="{}").content.decode()
    owner.post(offer, granted="on", settings='{"token": "hush"}')
    with tenant_scope(owner.tenant.id):
        installation = Installation.objects.get()
    shown = owner.get(f"/console/partners/installation/{installation.pk}/change/")
    assert "data.datasets" in shown.content.decode()
    assert "hush" not in shown.content.decode()

    with system_scope():
        service = Service.objects.get()
    owner.post(f"/console/marketplace/service/{service.pk}/do/order/", quantity="0.01", wish="x")
    with system_scope():
        order = Order.objects.get()
    acts = partner.get(f"/console/marketplace/order/{order.pk}/change/").content.decode()
    assert "/do/accept/" in acts
    assert "/do/cancel/" not in acts
    partner.post(f"/console/marketplace/order/{order.pk}/do/accept/")
    partner.post(f"/console/marketplace/order/{order.pk}/do/deliver/", quantity="0.01", note="here")
    owner.post(f"/console/marketplace/order/{order.pk}/do/confirm/")
    with system_scope():
        assert Order.objects.get().state == "confirmed"
    earned = partner.get("/console/earnings/").content.decode()
    assert "Your plugins" in earned


def test_the_partners_menu_is_for_partners(owner: Person, partner: Person) -> None:
    assert "/console/earnings/" not in owner.get("/console/").content.decode()
    assert "/console/earnings/" in partner.get("/console/").content.decode()
