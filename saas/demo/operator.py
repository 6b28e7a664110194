"""The operator's side of the demo: their account, and what the platform knows of costs."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from saas.demo.identities import DemoFailed, Identity, identity_works
from saas.demo.narration import Narration
from tenants.accounts.actors import system_actor
from tenants.accounts.roles import Role
from tenants.accounts.services import api_key_create, platform_tenant_ensure, user_create
from tenants.costs.allocating import allocation_of
from tenants.costs.allocation import sum_exact
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope, tenant_scope
from workers.jobs.clocks import BOUND, clock_error, clocks_balance


def operator_identity(base_url: str, kept: Identity | None) -> Identity:
    """Return a working operator: staff are made at the command line, never over HTTP."""
    if kept is not None and identity_works(base_url, kept):
        return kept
    platform = platform_tenant_ensure()
    email = f"operator-{secrets.token_hex(3)}@demo.invalid"
    password = secrets.token_urlsafe(15)
    user_create(email=email, password=password, name="Operator", is_staff=True)
    with tenant_scope(platform.id):
        issued = api_key_create(
            actor=system_actor(platform.id), name="demo operator", role=Role.ADMIN
        )
    return Identity(tenant=platform.id, email=email, password=password, api_key=issued.secret)


def conserved(narration: Narration) -> None:
    """Slot time sums to the clock, and its costs to shares and strategic idle.

    Raises DemoFailed.
    """
    with system_scope():
        at = database_now()
        balances = list(clocks_balance(since=at - dt.timedelta(hours=6)))
        found = allocation_of(since=at - dt.timedelta(days=1), until=at)
    error = clock_error(balances)
    if not balances or error > BOUND:
        raise DemoFailed(f"slot time is off by {error:.3%} of the clock")
    if sum_exact([found.allocated, found.strategic_idle]) != found.total:
        raise DemoFailed(f"shares and strategic idle are not the total, {found.total}")
    narration.say(
        f"the slot-seconds of {len(balances)} slots sum to the clock within {error:.3%}; "
        f"shares + strategic idle = {found.total:.6f} USD, to the last decimal"
    )


@dataclass(frozen=True)
class CostReport:
    """The operator's answers, as fetched."""

    jobs: list[dict[str, Any]]
    units: list[dict[str, Any]]
    slots: dict[str, Any]

    @classmethod
    def fetch(cls, base_url: str, api_key: str) -> CostReport:
        """Read costs over the operator's API. Raises httpx.HTTPStatusError."""
        with httpx.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {api_key}"}, timeout=60
        ) as client:
            answers = {
                name: client.get(f"/operator/v1/costs/{name}").raise_for_status().json()
                for name in ("jobs", "units", "slots")
            }
        return cls(answers["jobs"]["data"], answers["units"]["data"], answers["slots"])

    def tell(self, narration: Narration, jobs: dict[str, str]) -> None:
        """Print the cost of each of `jobs` (id → role), of a million tokens, and of idle time."""
        rows = [
            (
                jobs[row["job_id"]],
                row["job_id"],
                row["slot_seconds"],
                f"{row['amount']} {row['currency']}",
            )
            for row in self.jobs
            if row["job_id"] in jobs
        ]
        narration.table(("cost of a job", "id", "slot-seconds", "cost"), rows)
        narration.table(
            ("cost of a million tokens", "meter", "tokens", "cost"),
            [
                (
                    row["model"],
                    row["meter"],
                    row["tokens"],
                    f"{row['per_million']} {row['currency']}",
                )
                for row in self.units
            ],
        )
        narration.table(
            ("slot-seconds", "seconds", "cost"),
            [
                (row["purpose"], row["slot_seconds"], f"{row['amount']} {row['currency']}")
                for row in self.slots["data"]
            ],
        )
