"""Ways to Stripe's pages: who may ask, where they lead back, what is saved there."""

from __future__ import annotations

import pytest

from tenants.accounts.roles import Role
from tenants.billing.stripe.client import StripeOff
from tenants.billing.stripe.models import StripeObject, StripeVisit
from tenants.billing.stripe.selectors import default_method, methods_of, visit_of
from tenants.billing.stripe.services.visits import portal_start, top_up_start
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tests.stripe_server.faults import What
from tests.tenants.accounts.factories import SignedUp, member_make, owner_of, tenant_make
from tests.tenants.billing.stripe.flows import onboard
from tests.tenants.billing.stripe.world import (
    BACK,
    World,
    card_saved,
    object_id,
    session_of,
    top_up,
    visit_now,
)

pytestmark = pytest.mark.django_db
State = StripeVisit.State


def ask(tenant: SignedUp, amount: str = "25", back: str = BACK, currency: str = "USD") -> None:
    with tenant_scope(tenant.tenant.id):
        top_up_start(actor=owner_of(tenant), amount=Money.of(amount, currency), back=back)


def test_the_portal_opens_for_the_customer_that_was_made(world: World, tenant: SignedUp) -> None:
    with tenant_scope(tenant.tenant.id):
        visit = portal_start(actor=owner_of(tenant), back=BACK)
    world.settle()
    found = visit_now(visit)
    assert (found.state, found.url.split("/p/")[0]) == (State.READY, world.control.url)
    assert found.return_url.endswith(BACK)


def test_a_partner_is_led_to_its_onboarding(world: World, tenant: SignedUp) -> None:
    onboard(tenant)
    world.settle()
    with system_scope():
        visit = StripeVisit.objects.get()
        account = StripeObject.objects.get(kind="account")
    assert visit.state == State.READY
    assert account.state == "restricted"
    assert account.data["wanted"] == ["external_account", "tos_acceptance.date"]


def test_the_latest_saved_method_is_charged_and_a_removed_one_never(
    world: World, tenant: SignedUp
) -> None:
    card_saved(world, tenant)
    first = object_id(tenant, "payment_method")
    card_saved(world, tenant, "pm_card_mastercard")
    with tenant_scope(tenant.tenant.id):
        shown = [(row.state, row.data["brand"]) for row in methods_of(tenant.tenant.id)]
        latest = default_method(tenant.tenant.id)
    assert [state for state, _ in shown] == ["default", "attached"]
    assert latest != first
    world.api.v1.payment_methods.detach(latest)
    world.settle()
    with tenant_scope(tenant.tenant.id):
        assert default_method(tenant.tenant.id) == first  # saved to be charged, like the other
        assert methods_of(tenant.tenant.id).count() == 1


def test_a_card_of_the_other_mode_is_no_default_here(world: World, tenant: SignedUp) -> None:
    """Data of test mode is kept when we go live: there, the first card added in the portal is."""
    card_saved(world, tenant)
    with system_scope():
        StripeObject.objects.filter(kind="payment_method").update(mode="live", stripe_id="pm_other")
    method = world.api.v1.payment_methods.create({"type": "card"})
    world.api.v1.payment_methods.attach(method.id, {"customer": object_id(tenant, "customer")})
    world.settle()
    with tenant_scope(tenant.tenant.id):
        assert default_method(tenant.tenant.id) == method.id


@pytest.mark.parametrize("is_known", [False, True])
def test_the_default_that_is_chosen_in_the_portal_is_charged(
    world: World, tenant: SignedUp, is_known: bool
) -> None:
    """Also where we hear of the choice before we hear of the card; until another is saved."""
    card_saved(world, tenant)
    customer = object_id(tenant, "customer")
    added = world.api.v1.payment_methods.create({"type": "card"})
    world.api.v1.payment_methods.attach(added.id, {"customer": customer})
    if is_known:
        world.settle()
    else:
        world.shuffle = lambda payloads: payloads[::-1]
    choice = {"invoice_settings": {"default_payment_method": added.id}}
    world.api.v1.customers.update(customer, choice)
    world.settle()
    assert default_now(tenant) == added.id
    card_saved(world, tenant, "pm_card_mastercard")
    latest = object_id(tenant, "payment_method")
    world.api.v1.customers.update(customer, {"description": "anything"})
    world.settle()
    assert default_now(tenant) == latest != added.id


def default_now(tenant: SignedUp) -> str:
    with tenant_scope(tenant.tenant.id):
        return default_method(tenant.tenant.id)


def test_an_abandoned_page_expires(world: World, tenant: SignedUp) -> None:
    visit = top_up(tenant, "25")
    world.settle()
    world.control.expire_session(session_of(visit))
    world.settle()
    assert (visit_now(visit).state, visit_now(visit).url) == (State.EXPIRED, "")


@pytest.mark.parametrize(
    "back", ["https://evil.test/", "//evil.test/", "/\\evil.test", "console/", ""]
)
def test_the_way_back_is_ours(world: World, tenant: SignedUp, back: str) -> None:
    with pytest.raises(InvalidInput):
        ask(tenant, back=back)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0", "USD"), ("-5", "USD"), ("0.001", "USD"), ("0.49", "USD"), ("0.5", "JPY"), ("49", "JPY")],
)
def test_an_amount_that_cannot_be_charged_is_refused_at_once(
    world: World, tenant: SignedUp, amount: str, currency: str
) -> None:
    with pytest.raises(InvalidInput):
        ask(tenant, amount, currency=currency)


def test_what_stripe_refuses_is_said_to_whoever_asked(world: World, tenant: SignedUp) -> None:
    world.control.fault(What.STATUS, "POST /v1/checkout/sessions", status=400)
    visit = top_up(tenant, "10")
    world.settle()
    assert visit_now(visit).state == State.FAILED
    assert "a planned fault" in visit_now(visit).error


def test_who_may_not_write_billing_may_not_pay(world: World, tenant: SignedUp) -> None:
    _, viewer = member_make(tenant, Role.VIEWER)
    with tenant_scope(tenant.tenant.id), pytest.raises(PermissionDenied):
        portal_start(actor=viewer, back=BACK)


def test_a_visit_is_seen_by_its_own_tenant_only(world: World, tenant: SignedUp) -> None:
    visit = top_up(tenant, "25")
    other = tenant_make(has_credit=False).tenant.id
    with tenant_scope(other), pytest.raises(NotFound):
        visit_of(tenant_id=other, visit_id=visit.id)


def test_without_a_key_nobody_is_sent_anywhere(
    world: World, tenant: SignedUp, settings: object
) -> None:
    settings.STRIPE_SECRET_KEY = ""  # type: ignore[attr-defined]
    with pytest.raises(StripeOff, match="are off"):
        ask(tenant)
