"""Roles of members and what each may do. One table; services ask `actor.require(...)`."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    BILLING = "billing"
    VIEWER = "viewer"


READ = frozenset(
    {
        "files.read",
        "models.read",
        "jobs.read",
        "deployments.read",
        "usage.read",
        "members.read",
        "plugins.read",
        "orders.read",
    }
)
WORK = frozenset(
    {
        "files.write",
        "models.write",
        "jobs.write",
        "deployments.write",
        "inference",
        "usage.write",
    }
)
ADMINISTER = frozenset(
    {
        "keys.read",
        "keys.write",
        "members.write",
        "audit.read",
        "tenant.write",
        "plugins.write",
        "orders.write",
    }
)
MONEY = frozenset({"billing.read", "billing.write", "costs.read"})
PARTNER = frozenset({"partner.read", "partner.write"})  # what a partner submits, sells, earns

GRANTS: dict[Role, frozenset[str]] = {
    Role.OWNER: READ | WORK | ADMINISTER | MONEY | PARTNER,
    Role.ADMIN: READ | WORK | ADMINISTER | MONEY | PARTNER,
    Role.DEVELOPER: READ | WORK | PARTNER | {"keys.read", "costs.read"},
    Role.BILLING: READ | MONEY | {"partner.read"},
    Role.VIEWER: READ,
}

SCOPES: frozenset[str] = frozenset().union(*GRANTS.values())
