"""A model of a customer's own on offer, with a replica that answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenants.kernel.scope import tenant_scope
from tests.workers.serving.factories import Customer, copied, version_of
from tests.workers.serving.replicas import ReplicaProcess, claimed
from workers.assets.models import BaseModel, ModelVersion
from workers.engine.specs import FineTuneSpec, served_as
from workers.serving.replicas import Serving
from workers.serving.runtime.host import ReplicaSettings
from workers.serving.services import deployment_create


@contextmanager
def on_offer(
    owner: Customer, base: BaseModel, artifact: Path, settings: FineTuneSpec, scratch: Path
) -> Iterator[str]:
    """A trained model on offer as its owner's version, with a replica of its own; its name."""
    own = copied(artifact, scratch / "own")
    version = version_of(owner, base, own, kind=ModelVersion.Kind.FULL)
    with tenant_scope(owner.tenant_id):
        ModelVersion.objects.filter(pk=version.pk).update(spec=settings.to_dict())
        deployment_create(actor=owner.actor, model=version.name)
    wanted = ReplicaSettings(served_as(settings.task), artifact, secret="s" * 32)
    process = ReplicaProcess(wanted, scratch / "process")
    try:
        process.wait()
        parent = claimed(Serving(version.id, base.id, version.id), scratch / "scratch")
        with process.entered(parent):
            yield version.name
    finally:
        process.kill()
