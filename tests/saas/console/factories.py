"""People at the console, and what they have there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from tenants.accounts.actors import Actor
from tenants.accounts.models import Member, Tenant, User
from tenants.accounts.roles import Role
from tenants.accounts.selectors import actor_by_member
from tenants.accounts.services import (
    member_add,
    platform_tenant_ensure,
    tenant_sign_up,
    user_create,
)
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tests.credit import credit_give
from workers.jobs.models import Job, JobEvent
from workers.jobs.states import Kind, State

PASSWORD = "correct horse 9"


@dataclass
class Person:
    """Somebody signed in, in one tenant."""

    user: User
    tenant: Tenant
    actor: Actor
    client: Client = field(default_factory=Client)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query)

    def post(self, path: str, **sent: Any) -> Any:
        return self.client.post(path, sent)


def sign_in(client: Client, user: User) -> None:
    with system_scope():
        client.force_login(user)


def owner_of(organisation: str = "Acme") -> Person:
    """Somebody who has signed an organisation up and is at its console."""
    made = tenant_sign_up(
        organisation=organisation, email=f"{new_id('x')}@example.com", password=PASSWORD
    )
    credit_give(made.tenant.id)
    person = Person(made.user, made.tenant, actor_by_member(made.member))
    sign_in(person.client, made.user)
    return person


def colleague_of(owner: Person, role: Role) -> Person:
    """A further member of the owner's organisation."""
    user = user_create(email=f"{new_id('x')}@example.com", password=PASSWORD)
    with tenant_scope(owner.tenant.id):
        member = member_add(actor=owner.actor, email=user.email, role=role)
    person = Person(user, owner.tenant, actor_by_member(member))
    sign_in(person.client, user)
    return person


def operator_make() -> Person:
    """Staff of the platform, member of no organisation."""
    platform = platform_tenant_ensure()
    user = user_create(email=f"{new_id('x')}@example.com", password=PASSWORD, is_staff=True)
    person = Person(user, platform, Actor(kind="operator", id=user.id, tenant_id=platform.id))  # type: ignore[arg-type]
    sign_in(person.client, user)
    return person


def job_make(person: Person, *, state: State = State.RUNNING, **fields: Any) -> Job:
    """A fine-tune of the person's tenant as it stands half-way."""
    values: dict[str, Any] = {
        "kind": Kind.FINE_TUNE,
        "queue": "train.cpu",
        "spec": {"model": "tiny-1", "suffix": "tone", "settings": {"epochs": 3}},
        "step": 10,
        "steps": 40,
    }
    with tenant_scope(person.tenant.id):
        job: Job = Job.objects.create(
            id=new_id("ftjob-"), tenant_id=person.tenant.id, state=state, **values | fields
        )
    return job


def event_add(job: Job, message: str = "said", **data: Any) -> JobEvent:
    """A line of the job's story; with data, a point of its curve."""
    with tenant_scope(job.tenant_id):
        event: JobEvent = JobEvent.objects.create(
            id=new_id("ftevent-"),
            tenant_id=job.tenant_id,
            job=job,
            type="metrics" if data else "message",
            message=message,
            data=data,
        )
    return event


def members_of(tenant: Tenant) -> list[Member]:
    with tenant_scope(tenant.id):
        return list(Member.objects.select_related("user").order_by("id"))
