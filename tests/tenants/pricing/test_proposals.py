"""Dated prices: proposed by one, approved by another, past the guard, and given back at the end."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tenants.accounts.actors import system_actor
from tenants.accounts.models import AuditEntry
from tenants.kernel.clock import now
from tenants.kernel.errors import (
    BreakwaterError,
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tenants.pricing.charge_models import Standard
from tenants.pricing.models import PriceBookVersion, PriceProposal
from tenants.pricing.selectors import rate_card
from tenants.pricing.selectors.sold import proposal_actual
from tenants.pricing.services import (
    loss_budget_close,
    losses_record,
    price_book_create,
    price_proposal_approve,
    price_proposal_end,
    price_proposal_refuse,
    price_proposals_advance,
    price_version_draft,
)
from tenants.usage.meters import METERS, Meter
from tests.tenants.pricing.books import (
    operator_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D
from tests.tenants.pricing.floors_made import (
    DAY,
    again,
    another,
    approve,
    budget_open,
    cost_measure,
    list_at_six,
    per_million,
    price_now,
    proposed,
    standing_below,
    train,
)

pytestmark = pytest.mark.django_db

State = PriceProposal.State


@pytest.fixture(autouse=True)
def sold() -> None:
    list_at_six()


def let_pass(proposal: PriceProposal, field: str) -> None:
    """Bring a moment to a second ago, in place of waiting for it."""
    with system_scope():
        moment = now() - dt.timedelta(seconds=1)
        given = {"starts": moment - DAY, field: moment}
        PriceProposal.objects.filter(pk=proposal.pk).update(**given)


def test_an_approved_price_holds_until_its_end_and_gives_back_what_it_replaced() -> None:
    proposal = proposed("5.5")
    assert price_now() == 6
    assert approve(proposal).state == State.ACTIVE
    assert price_now() == D("5.5")
    assert price_proposals_advance() == 0
    let_pass(proposal, "ends")
    assert price_proposals_advance() == 1
    assert (price_now(), again(proposal).state, proposal.ended_why) == (
        6, State.ENDED, "its time is over"
    )  # fmt: skip
    assert price_proposals_advance() == 0


def test_one_that_starts_later_holds_from_then_on() -> None:
    proposal = proposed("5.5", starts=now() + 2 * DAY)
    assert approve(proposal).state == State.APPROVED
    with system_scope():
        versions = PriceBookVersion.objects.count()
    assert (price_now(), price_proposals_advance()) == (6, 0)
    let_pass(proposal, "starts")
    assert price_proposals_advance() == 1
    assert (price_now(), again(proposal).state) == (D("5.5"), State.ACTIVE)
    with system_scope():  # the rehearsal at approval left nothing
        assert PriceBookVersion.objects.count() == versions + 1


def test_nobody_approves_their_own_and_the_platform_approves_none() -> None:
    proposal = proposed("5.5")
    own = dataclasses.replace(another(), id=proposal.proposed_by)
    with system_scope():
        with pytest.raises(PermissionDenied, match="another person") as refused:
            price_proposal_approve(actor=own, proposal_id=proposal.id)
        assert refused.value.code == "same_person"
        with pytest.raises(PermissionDenied, match="a person approves"):
            price_proposal_approve(actor=system_actor(own.tenant_id), proposal_id=proposal.id)
    assert again(proposal).state == State.PROPOSED


def test_below_the_floor_only_with_a_loss_budget_and_never_below_the_short_run_cost() -> None:
    with pytest.raises(InvalidInput, match="4 USD per million tokens, below the floor of 5"):
        approve(proposed("4"))
    with pytest.raises(InvalidInput, match=r"below its short-run cost of 3\.5"):
        approve(proposed("3.4", loss_budget_id=budget_open().id))
    assert price_now() == 6
    approve(proposed("4", loss_budget_id=budget_open().id))
    assert price_now() == 4
    (found,) = standing_below()
    assert found.permit.startswith("loss_")


def test_a_proposals_budget_carries_no_other_price_and_none_beyond_its_end() -> None:
    """Another price would be nobody's to approve, and what is lost by it nobody's to count."""
    approve(proposed("4", lasts=5 * DAY, loss_budget_id=budget_open().id))
    with pytest.raises(InvalidInput, match=r"3\.9 USD .* below the floor of 5"):
        publish(prices_with(tokens_trained=per_million("3.9")))
    kept = prices_with(tokens_trained=per_million("4"), tokens_input=per_million("0.9"))
    with pytest.raises(InvalidInput, match=r"4 USD .* below the floor of 5"):
        publish(kept, valid_from=now() + 6 * DAY)
    publish(kept)
    publish(kept, valid_from=now() + 4 * DAY)


def test_what_would_be_refused_later_is_refused_at_approval() -> None:
    proposal = proposed("4", starts=now() + 2 * DAY)
    with pytest.raises(InvalidInput, match="below the floor"):
        approve(proposal)
    assert again(proposal).state == State.PROPOSED


def test_costs_that_moved_before_its_start_refuse_it_then() -> None:
    proposal = approve(proposed("5.5", starts=now() + 2 * DAY))
    cost_measure("7")  # (5 + 7) / 2 = 6
    let_pass(proposal, "starts")
    price_proposals_advance()
    assert again(proposal).state == State.REFUSED
    assert "below the floor of 6" in proposal.ended_why
    assert price_now() == 6


@pytest.mark.parametrize("of", ["proposal", "budget"])
def test_a_volume_cap_ends_the_proposal(of: str) -> None:
    cap = {"volume_cap": D(2_000_000)}
    budget = budget_open(**cap if of == "budget" else {})
    proposal = approve(proposed("4", loss_budget_id=budget.id, **cap if of == "proposal" else {}))
    tenant = tenant_make(credit="100")
    train(tenant, "a", 1_999_999)
    losses_record()
    assert price_proposals_advance() == 0
    train(tenant, "b", 1)
    losses_record()
    assert price_proposals_advance() == 1
    assert (again(proposal).state, price_now()) == (State.ENDED, 6)


def test_a_closed_budget_and_an_early_end_give_the_price_back() -> None:
    budget = budget_open()
    first = approve(proposed("4", loss_budget_id=budget.id))
    actor = operator_make()
    with system_scope():
        loss_budget_close(actor=actor, budget_id=budget.id)
        with pytest.raises(Conflict):
            loss_budget_close(actor=actor, budget_id=budget.id)
    price_proposals_advance()
    assert (again(first).state, price_now()) == (State.ENDED, 6)
    second = approve(proposed("5.5"))
    with system_scope():
        price_proposal_end(actor=actor, proposal_id=second.id, reason="it did not work")
    assert (again(second).ended_why, price_now()) == ("it did not work", 6)


def test_what_was_published_meanwhile_stands() -> None:
    proposal = approve(proposed("5.5"))
    publish(prices_with(tokens_trained=per_million("7")))
    let_pass(proposal, "ends")
    price_proposals_advance()
    assert (again(proposal).state, proposal.end_version_id, price_now()) == (State.ENDED, None, 7)


def test_another_price_published_meanwhile_keeps_the_proposals_and_outlives_it() -> None:
    proposal = approve(proposed("5.5"))
    other = prices_with(tokens_trained=per_million("5.5"), tokens_input=per_million("0.9"))
    publish(other)
    publish(prices_with(tokens_trained=per_million("6.5")), valid_from=now() + 9 * DAY)
    tenant = tenant_make(credit="100")
    train(tenant, "a", 1_000_000)
    losses_record()
    let_pass(proposal, "ends")
    price_proposals_advance()
    assert price_now() == 6
    with system_scope():
        card = rate_card(tenant, now())
        price = card.price_of("tokens.input", {"base": "mini"})
        assert isinstance(price.model, Standard)
        assert price.model.unit == D("0.9")
        assert proposal_actual(proposal).revenue == D("5.5")  # sold in the version that kept it


def test_a_price_of_one_base_stands_beside_the_others_and_goes_again() -> None:
    proposal = approve(proposed("5.5", match={"base": "mini"}))
    assert price_now() == D("5.5")
    let_pass(proposal, "ends")
    price_proposals_advance()
    with system_scope():
        held = PriceBookVersion.objects.order_by("-valid_from")[0].prices.filter(
            meter="tokens.trained"
        )
        assert [row.match for row in held] == [{}]


def test_a_book_that_is_older_than_a_meter_takes_no_price_of_it() -> None:
    actor = operator_make()
    with system_scope():
        book = price_book_create(actor=actor, name="Old", currency="USD")
        known = [p for p in prices_with() if p.meter != "tokens.trained"]
        version = price_version_draft(actor=actor, book_id=book.id, prices=known)
        version.valid_from = version.published_at = now()
        version.save()
    with pytest.raises(InvalidInput, match=r"no price of tokens\.trained yet") as refused:
        approve(proposed("5.5", book_id=book.id))
    assert refused.value.code == "price_gap"


def test_one_that_cannot_end_keeps_no_other_from_moving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its book lacks the price of a meter that came with a release, until staff publish it."""
    stuck = approve(proposed("5.5"))
    waiting = approve(proposed("0.7", meter="tokens.input", starts=now() + 2 * DAY))
    let_pass(stuck, "ends")
    let_pass(waiting, "starts")
    with monkeypatch.context() as newer:
        newer.setitem(METERS, "tokens.dreamt", Meter("tokens.dreamt", "token", "tokens dreamt"))
        assert price_proposals_advance() == 1
        assert (again(stuck).state, again(waiting).state) == (State.ACTIVE, State.REFUSED)
        assert "tokens.dreamt" in waiting.ended_why
    assert price_proposals_advance() == 1
    assert (again(stuck).state, price_now()) == (State.ENDED, 6)


def test_a_price_is_held_by_one_proposal_at_a_time() -> None:
    approve(proposed("5.5"))
    with pytest.raises(Conflict, match=r"holds tokens\.trained until") as refused:
        approve(proposed("5.4", starts=now() + DAY))
    assert refused.value.code == "proposal_overlap"
    approve(proposed("5.4", starts=now() + 21 * DAY))


def test_every_step_is_audited_and_told() -> None:
    proposal, actor, second = proposed("5.5"), operator_make(), another()
    with system_scope():
        price_proposal_refuse(actor=actor, proposal_id=proposal.id, reason="not in this quarter")
        with pytest.raises(Conflict, match="is refused"):
            price_proposal_approve(actor=second, proposal_id=proposal.id)
        told = OutboxEvent.objects.filter(name="price_proposal.moved").order_by("id")
        assert [row.payload["state"] for row in told] == ["proposed", "refused"]
        acts = AuditEntry.objects.filter(target=proposal.id).values_list("action", flat=True)
        assert set(acts) == {"price_proposal.propose", "price_proposal.refuse"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"book_id": "book_x"}, NotFound),
        ({"meter": "tokens.imagined"}, InvalidInput),
        ({"charge": {"model": "standard", "unit": "-1"}}, InvalidInput),
        ({"charge": {"model": "matrix", "dimensions": ["base"], "cells": []}}, InvalidInput),
        ({"match": {"colour": "red"}}, InvalidInput),
        ({"lasts": dt.timedelta(0)}, InvalidInput),
        ({"lasts": dt.timedelta(days=400)}, InvalidInput),
        ({"starts": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, InvalidInput),
        ({"note": "short"}, InvalidInput),
        ({"loss_budget_id": "loss_x"}, NotFound),
        ({"volume_cap": D(0)}, InvalidInput),
        ({"foreseen": {"luck": D(1)}}, InvalidInput),
        ({"foreseen": {"loss": D("NaN")}}, InvalidInput),
        ({"foreseen": {"loss": D(-1)}}, InvalidInput),
    ],
)
def test_a_faulty_proposal_is_refused(change: dict[str, Any], error: type[BreakwaterError]) -> None:
    with pytest.raises(error):
        proposed("5.5", **change)


def test_a_budget_that_ends_before_the_proposal_or_is_a_tenants_is_refused() -> None:
    for budget in (budget_open(lasts=10 * DAY), budget_open(tenant_id=tenant_make())):
        with pytest.raises(InvalidInput):
            proposed("4", loss_budget_id=budget.id)
