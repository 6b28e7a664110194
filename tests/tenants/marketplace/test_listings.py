"""Listings: what is refused and why, what publishing puts on sale, and suspension."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from plugins.host.facts import Failure, Outcome
from tenants.accounts.actors import system_actor
from tenants.kernel.errors import Conflict, InvalidInput, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.marketplace.models import Listing, Service
from tenants.marketplace.services import listings
from tenants.marketplace.services.builtins import builtins_release
from tenants.partners.models import Release
from tenants.partners.services import health_record
from tenants.partners.services.health import MOST_IN_A_ROW
from tenants.pricing.selectors import rate_card
from tests.plugins.wheels import manifest, wheel_make
from tests.tenants.partners.factories import SEVENTY, agree
from tests.tenants.partners.releases import (
    partner_tenant,
    published,
    report_of,
    wheel_of,
)
from tests.tenants.pricing.books import operator_make, platform_make, tenant_make

pytestmark = pytest.mark.django_db


def offer(partner: str, wheel: Path, **fields: object) -> Listing:
    with tenant_scope(partner):
        given = {"title": "A title", **fields}
        return listings.listing_submit(
            actor=system_actor(partner), wheel_name=wheel.name, content=wheel.read_bytes(), **given
        )


def test_only_partners_submit(tmp_path: Path) -> None:
    with pytest.raises(PermissionDenied, match="only partners"):
        offer(tenant_make(), wheel_of(tmp_path))


def test_submitting_runs_none_of_the_wheel(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    code = f"open({str(mark)!r}, 'w').close()\n"
    partner = partner_tenant()
    row = offer(partner.id, wheel_make(tmp_path, "writes", code))
    assert (row.state, row.plugin, row.version) == ("submitted", "writes", "1.0")
    assert not mark.exists()


def test_a_wheel_that_is_none_and_one_of_another_platform_are_refused(tmp_path: Path) -> None:
    partner = partner_tenant()
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(InvalidInput, match="no readable wheel"):
        offer(partner.id, broken)
    older = wheel_make(tmp_path, "older", "", toml=manifest("older", greatest_platform='"0.0.1"'))
    with pytest.raises(InvalidInput, match=r"knows platforms up to 0\.0\.1"):
        offer(partner.id, older)


def test_a_report_of_another_wheel_or_of_a_failure_is_refused(tmp_path: Path) -> None:
    partner = partner_tenant()
    wheel = wheel_of(tmp_path)
    report = report_of(wheel, "counting", "1.0")
    with pytest.raises(InvalidInput, match="check the wheel that you send"):
        offer(partner.id, wheel, conformance={**report, "sha256": "0" * 64})
    failed = {"group": "billing", "subject": "read", "verdict": "failed", "message": "twice"}
    with pytest.raises(InvalidInput, match="1 failed; billing: read: twice"):
        offer(partner.id, wheel, conformance={**report, "checks": [failed]})


def test_a_name_and_a_version_are_taken_once(tmp_path: Path) -> None:
    partner = published(tmp_path)
    with pytest.raises(Conflict, match="a change is a new version"):
        offer(partner.id, wheel_of(tmp_path))
    other = partner_tenant()
    (tmp_path / "other").mkdir()
    with pytest.raises(Conflict, match="another partner's"):
        offer(other.id, wheel_of(tmp_path / "other"))


def test_publishing_prices_the_plugin_in_every_book_and_puts_its_services_on_sale(
    tmp_path: Path,
) -> None:
    partner = published(tmp_path)
    tenant_id = tenant_make()
    from tenants.kernel.clock import now

    with tenant_scope(tenant_id):
        card = rate_card(tenant_id, now())
        price = card.price_of("plugin.units", {"plugin": "counting", "sku": "lines"})
        assert price.key == "plugin.units?plugin=counting&sku=lines"
        (service,) = Service.objects.all()
    assert (service.title, service.price, service.partner_id) == (
        "Advice",
        Decimal(100),
        partner.id,
    )


def test_a_release_that_fails_again_and_again_is_suspended_and_its_listing_says_so(
    tmp_path: Path,
) -> None:
    partner = published(tmp_path)
    failure = Failure("crashed", "it ended")
    with system_scope():
        health_record(outcomes=[Outcome("counting", "1.0", failure=failure)] * (MOST_IN_A_ROW - 1))
        assert Release.objects.get().suspended_at is None
        health_record(outcomes=[Outcome("counting", "1.0", failure=failure)])
        release = Release.objects.get()
        assert release.suspended_because == "20 calls in a row failed; the last: crashed: it ended"
        listings.listing_follow_suspension(release_id=release.id, reason=release.suspended_because)
        row = Listing.objects.get(tenant_id=partner.id)
        assert row.state == "suspended"
        listings.listing_publish(actor=operator_make(), listing_id=row.id, reason="mended")
        assert Release.objects.get().suspended_at is None


def test_a_partner_sees_its_own_listings_only(tmp_path: Path) -> None:
    partner, other = partner_tenant(), partner_tenant()
    agree(partner.id, SEVENTY)
    offer(partner.id, wheel_of(tmp_path))
    with tenant_scope(partner.id):
        assert Listing.objects.count() == 1
    with tenant_scope(other.id):
        assert Listing.objects.count() == 0


def test_built_ins_are_released_once_with_their_services() -> None:
    platform = platform_make()
    with system_scope():
        assert builtins_release(tenant_id=platform) == 3
        assert builtins_release(tenant_id=platform) == 0
        assert Service.objects.filter(partner_id=platform, price__isnull=True).count() == 4
