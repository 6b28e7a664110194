"""Deployments: on offer, awake, asleep, deleted; each change with its audit row and event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saas.handlers import HANDLERS
from tenants.accounts.actors import Actor, ActorKind, permissions
from tenants.accounts.models import AuditEntry
from tenants.accounts.roles import Role
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.serving.factories import copied, customer, text_base, version_of
from workers.assets.models import ModelVersion
from workers.assets.services import model_version_delete
from workers.jobs.events import JobSucceeded
from workers.serving.models import Deployment
from workers.serving.selectors import deployment_get, deployment_of, deployments_visible
from workers.serving.services import (
    base_deployments_ensure,
    deployment_create,
    deployment_delete,
    deployment_sleep,
    deployment_update,
    deployment_wake,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def tuned(tiny: Path, adapters: list[Path], tmp_path: Path) -> Any:
    """A customer with a fine-tuned model."""
    base = text_base(tiny)
    acme = customer()
    return acme, version_of(acme, base, copied(adapters[0], tmp_path / "a"), job_id="ftjob-1")


def offered(event: JobSucceeded) -> None:
    """What the table says happens then."""
    for subscription in HANDLERS[JobSucceeded]:
        subscription.handle(event)


def actions() -> list[str]:
    found = AuditEntry.objects.filter(action__startswith="deployment.").order_by("id")
    return [entry.action for entry in found]


def emitted() -> list[str]:
    with system_scope():
        found = OutboxEvent.objects.filter(name__startswith="deployment.").order_by("id")
        return [event.name for event in found]


def test_a_deployments_life(tuned: Any) -> None:
    acme, version = tuned
    with tenant_scope(acme.tenant_id):
        # an adapter is served by its base's replicas
        row = deployment_create(actor=acme.actor, model=version.name, sleep_after_s=60)
        assert (row.state, row.target) == (Deployment.State.ASLEEP, "tiny")
        woken = deployment_wake(actor=acme.actor, deployment_id=row.id)
        assert woken.state == Deployment.State.WAKING
        assert woken.wanted_until > woken.created_at
        changed = deployment_update(actor=acme.actor, deployment_id=row.id, max_replicas=3)
        assert (changed.max_replicas, changed.sleep_after_s) == (3, 60)
        asleep = deployment_sleep(actor=acme.actor, deployment_id=row.id)
        assert (asleep.state, asleep.wanted_until) == (Deployment.State.ASLEEP, None)
        assert [d.id for d in deployments_visible()] == [row.id]
        deployment_delete(actor=acme.actor, deployment_id=row.id)
        assert not deployments_visible().exists()
        with pytest.raises(NotFound):
            deployment_get(row.id)
        assert actions() == [
            "deployment.create",
            "deployment.wake",
            "deployment.update",
            "deployment.sleep",
            "deployment.delete",
        ]
    assert emitted() == [
        "deployment.created",
        "deployment.woken",
        "deployment.slept",
        "deployment.deleted",
    ]


def test_waking_pushes_forward_and_never_back(tuned: Any) -> None:
    acme, version = tuned
    with tenant_scope(acme.tenant_id):
        row = deployment_create(actor=acme.actor, model=version.name, sleep_after_s=5000)
        first = deployment_wake(actor=acme.actor, deployment_id=row.id).wanted_until
        deployment_update(actor=acme.actor, deployment_id=row.id, sleep_after_s=10)
        again = deployment_wake(actor=acme.actor, deployment_id=row.id).wanted_until
    assert again >= first


def test_wrong_settings_models_and_doubles_are_refused(tuned: Any) -> None:
    acme, version = tuned
    with tenant_scope(acme.tenant_id):
        for wrong in ({"sleep_after_s": 9}, {"sleep_after_s": 10**6}, {"max_replicas": 0}):
            with pytest.raises(InvalidInput) as refused:
                deployment_create(actor=acme.actor, model=version.name, **wrong)
            assert refused.value.param in wrong
        with pytest.raises(NotFound):
            deployment_create(actor=acme.actor, model="ft:nothing")
        deployment_create(actor=acme.actor, model=version.name)
        with pytest.raises(Conflict):
            deployment_create(actor=acme.actor, model=version.name)


def test_a_full_model_is_a_target_of_its_own(tiny: Path, tmp_path: Path) -> None:
    base = text_base(tiny)
    acme = customer()
    folder = copied(tiny, tmp_path / "full")
    version = version_of(acme, base, folder, kind=ModelVersion.Kind.FULL)
    with tenant_scope(acme.tenant_id):
        row = deployment_create(actor=acme.actor, model=version.name)
    assert row.target == version.id


def test_another_tenant_finds_nothing_and_a_viewer_may_nothing(tuned: Any) -> None:
    acme, version = tuned
    with tenant_scope(acme.tenant_id):
        row = deployment_create(actor=acme.actor, model=version.name)
    rival = customer("Rival")
    viewer = Actor(
        ActorKind.MEMBER, "user_x", acme.tenant_id, permissions(Role.VIEWER), Role.VIEWER
    )
    calls = (deployment_delete, deployment_sleep, deployment_wake, deployment_update)
    for call in calls:
        with tenant_scope(rival.tenant_id), pytest.raises(NotFound):
            call(actor=rival.actor, deployment_id=row.id)
        with tenant_scope(acme.tenant_id), pytest.raises(PermissionDenied):
            call(actor=viewer, deployment_id=row.id)


def test_a_finished_job_offers_its_models_once_and_never_what_was_taken_off(tuned: Any) -> None:
    acme, version = tuned
    event = JobSucceeded(
        tenant_id=acme.tenant_id, job_id="ftjob-1", kind="fine_tune", model_version_id=version.id
    )
    # when the event is handled twice
    for _ in range(2):
        with system_scope():
            offered(event)
    # then there is one deployment, which sleeps
    with tenant_scope(acme.tenant_id):
        row = deployment_of(version.name)
        assert row is not None
        assert row.state == Deployment.State.ASLEEP
        deployment_delete(actor=acme.actor, deployment_id=row.id)
    # and a deleted one does not come back
    with system_scope():
        offered(event)
    with tenant_scope(acme.tenant_id):
        assert deployment_of(version.name) is None


def test_a_deleted_models_deployment_is_not_shown(tuned: Any) -> None:
    acme, version = tuned
    with tenant_scope(acme.tenant_id):
        deployment_create(actor=acme.actor, model=version.name)
        model_version_delete(actor=acme.actor, name=version.name)
        assert not deployments_visible().exists()


def test_bases_are_offered_by_the_platform_to_all(tiny: Path) -> None:
    text_base(tiny)
    platform = platform_tenant_ensure()
    with system_scope():
        assert base_deployments_ensure(platform_id=platform.id) == 1
        assert base_deployments_ensure(platform_id=platform.id) == 0
        assert Deployment.objects.get().tenant_id == platform.id
