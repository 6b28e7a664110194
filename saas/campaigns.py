"""Campaigns as staff make them: jobs of the platform's own tenant, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.acting import acting_for
from tenants.accounts.actors import Actor
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import Conflict, NotFound
from tenants.kernel.scope import atomic
from tenants.market.following import Followed, campaign_followed
from tenants.market.proposing import Wish, proposals_of
from tenants.pricing.models import PriceProposal
from tenants.pricing.services import price_proposal_make
from workers.jobs.campaigns import policies_enabled
from workers.jobs.models import Job
from workers.jobs.selectors import job_get
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State


def campaign_submit(*, actor: Actor, spec: Mapping[str, Any]) -> Job:
    """Rehearse a campaign. Raises PermissionDenied, InvalidInput."""
    return job_submit(
        actor=acting_for(actor, platform_tenant_ensure().id),
        kind=Kind.CAMPAIGN,
        spec={"campaign": spec},
    )


def campaign_partners() -> list[tuple[str, str]]:
    """Plugins' policies that a campaign may name: full name and title."""
    return policies_enabled(platform_tenant_ensure().id)


def campaign_cancel(*, actor: Actor, campaign_id: str) -> Job:
    """Raises PermissionDenied, NotFound."""
    job = job_get(campaign_id, kind=Kind.CAMPAIGN)
    return job_cancel(actor=acting_for(actor, job.tenant_id), job_id=job.id)


def campaign_propose(*, actor: Actor, campaign_id: str, wish: Wish) -> list[PriceProposal]:
    """Propose a rehearsed policy's prices, all or none, for another person to approve.

    Raises PermissionDenied, NotFound, InvalidInput, Conflict while there is no result.
    """
    asked = proposals_of(campaign_result(campaign_id), campaign_id, wish)
    with atomic():
        return [price_proposal_make(actor=actor, proposal=one) for one in asked]


def campaign_outcome(campaign_id: str) -> list[Followed]:
    """What happened under the prices that it led to. Raises NotFound, Conflict."""
    return campaign_followed(campaign_id, campaign_result(campaign_id))


def campaign_outcome_of(campaign_id: str, policy: str) -> Followed:
    """Of one policy; empty: of prices by hand, else the first. Raises NotFound, Conflict."""
    found = {one.policy: one for one in campaign_outcome(campaign_id)}
    if policy in found:
        return found[policy]
    if found and not policy:
        return next(iter(found.values()))
    raise NotFound(
        f"no prices of {policy or 'any policy'} of {campaign_id} were proposed", param="policy"
    )


def campaign_result(campaign_id: str) -> dict[str, Any]:
    """What a rehearsal came to. Raises NotFound, Conflict while it has not succeeded."""
    job = job_get(campaign_id, kind=Kind.CAMPAIGN)
    if job.state != State.SUCCEEDED:
        raise Conflict(
            f"{job.id} is {job.state}; it has a result once it has succeeded",
            code="campaign_not_finished",
        )
    found: dict[str, Any] = job.result["campaign"]
    return found
