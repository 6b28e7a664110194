"""Pipelines: a partner's steps over the tenant's files, in the plugin's own sandbox."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Container, Iterator, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from plugins.sdk.codec import from_json
from plugins.sdk.errors import ContractError
from tenants.accounts.actors import system_actor
from tenants.kernel.clock import now
from tenants.kernel.errors import InsufficientCredit, InvalidInput, NotFound
from tenants.kernel.scope import tenant_scope
from tenants.usage.ingestion import NewUsage
from workers.assets.materialise import file_to_path
from workers.assets.models import File
from workers.assets.selectors import file_get
from workers.assets.services import file_keep
from workers.assets.storage import StoredObject, object_key, object_write
from workers.assets.streams import pieces
from workers.jobs.fencing import job_held
from workers.jobs.kinds import FailureKind
from workers.jobs.models import Job
from workers.jobs.money import SLOT_SECONDS
from workers.jobs.moves import job_move
from workers.jobs.outcomes import Made
from workers.jobs.pipelines import METER
from workers.jobs.plugin_hooks import MAKES_DATASET
from workers.jobs.services import job_ask
from workers.jobs.states import Kind, State
from workers.tasks.channel import Frame
from workers.tasks.child import LOOPBACK
from workers.tasks.runs.models import model_open, snapshot_open
from workers.tasks.runs.plugins import (
    enabled_release,
    ground_told,
    outcomes_heard,
    release_told,
)
from workers.tasks.runs.run import CannotRun, Context

DATA_FILES = ("training_file", "validation_file", "file")
NEEDS_FILE: Mapping[str, str] = {"fine_tune": "training_file", "evaluate": "file"}
_SECOND = Decimal("0.001")


class PipelineRun:
    """A job of kind `pipeline`. Each step's end is a snapshot, and sells what the step used."""

    entry = "workers.tasks.plugin_child"
    network = LOOPBACK  # the host probes its sandbox by it; the plugin has none

    def __init__(self, context: Context) -> None:
        self.context = context
        self.spec: Mapping[str, Any] = context.claim.spec

    def prepare(self) -> Mapping[str, Any]:
        spec = self.spec
        enabled, release = self.context.in_scope(
            lambda: enabled_release(self.context.tenant_id, spec["plugin"], spec["release_id"])
        )
        told = release_told(enabled, release)
        work = self.context.scratch / "work"
        work.mkdir()
        return {
            "key": self.context.job_id,
            "tenant": self.context.tenant_id,
            **told,
            "ground": ground_told(),
            "pipeline": spec["pipeline"],
            "steps": spec["steps"],
            "inputs": self._inputs(),
            "resume": snapshot_open(self.context),
            "engine": self.context.in_scope(self._engine_done),
            "scratch": str(work),
        }

    def _inputs(self) -> dict[str, str]:
        """The files by name, made distinct; each opened into scratch. Those of a model, too:
        `model/config.json`, and of an adapter on it `adapter/adapter_config.json`.
        """
        inputs = self._model()
        for number, file_id in enumerate(self.spec["file_ids"]):
            try:
                file = self.context.in_scope(partial(file_get, file_id))
            except NotFound as error:
                raise CannotRun(error.message, code="file_deleted", param="files") from error
            name = distinct(file.filename, inputs)
            path = self.context.scratch / f"input-{number}" / Path(name).name
            path.parent.mkdir()
            file_to_path(file=file, data_key=self.context.data_key, path=path)
            inputs[name] = str(path)
        return inputs

    def _model(self) -> dict[str, str]:
        if not self.spec.get("base_id"):
            return {}
        base_id, version_id = self.spec["base_id"], self.spec["version_id"]
        opened = model_open(self.context, base_id=base_id, version_id=version_id)
        folders = {"model": opened.base, "adapter": opened.adapter}
        return {
            f"{kind}/{path.relative_to(handle['path'])}": str(path)
            for kind, handle in folders.items()
            if handle is not None
            for path in sorted(Path(handle["path"]).rglob("*"))
            if path.is_file()
        }

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] == "outcome":
            self._record(frame)
        elif frame["type"] == "used":
            self.context.usage += self._used(frame)
        elif frame["type"] == "engine":
            self._engine(frame)
            return {}
        else:
            raise ValueError(f"a pipeline's child sent {frame['type']!r}")
        return None

    def _engine_done(self) -> dict[str, Any]:
        """What became of the jobs that this pipeline asked for, by step; those at work left out."""
        return {
            job.asked_by: {
                "job": job.id,
                "state": job.state,
                "error": job.error,
                "result": job.result,
                "is_customers": FailureKind.CUSTOMER in job.failures or not job.failures,
            }
            for job in Job.objects.filter(parent_id=self.context.job_id, finished_at__isnull=False)
        }

    def _engine(self, frame: Frame) -> None:
        """Submit what a step asks of the engine, and let the pipeline rest until it has ended."""
        spec = self._engine_spec(frame)
        lease = self.context.claim.lease
        actor = system_actor(self.context.tenant_id)

        def ask() -> None:
            with tenant_scope(self.context.tenant_id):
                parent, _ = job_held(lease)
                kind = Kind(frame["kind"])
                job_ask(actor=actor, parent=parent, step=frame["step"], kind=kind, spec=spec)
                if parent.state == State.RUNNING:
                    job_move(parent, State.PAUSING)

        try:
            self.context.persist(ask)
        except (InvalidInput, NotFound, InsufficientCredit) as error:
            raise CannotRun(
                f"{frame['step']}: {error.message}", code=error.code, param=error.param
            ) from error
        except (TypeError, ValueError, AttributeError, LookupError) as error:  # no form checked it
            said = f"{frame['step']}.json: a value is of another kind than it has to be: {error}"
            raise CannotRun(said[:300], code="engine_step") from error

    def _engine_spec(self, frame: Frame) -> dict[str, Any]:
        """The step's own words, its data files kept as files of the tenant."""
        spec = engine_request(frame["step"], frame["kind"], frame["spec"], frame["files"])
        for name in DATA_FILES:
            if name in spec:
                path = Path(frame["files"][spec.pop(name)])
                keep = partial(
                    file_keep,
                    tenant_id=self.context.tenant_id,
                    filename=path.name,
                    stored=self._seal(path),
                    purpose="fine-tune",
                )
                spec[f"{name}_id"] = self.context.in_scope(keep).id
        return spec

    def _record(self, frame: Frame) -> None:
        plugin, version = self.spec["plugin"], self.spec["version"]
        self.context.persist(lambda: outcomes_heard(plugin, version, [frame]))

    def _used(self, frame: Frame) -> list[NewUsage]:
        """What the plugin claims, under its host's keys; and its slot time, which we measured."""
        at, job_id = now(), self.context.job_id
        claims = [
            NewUsage(
                meter=METER,
                quantity=Decimal(quantity),
                event_time=at,
                source="jobs",
                key=str(frame["keys"][meter]),
                dimensions={"plugin": self.spec["plugin"], "sku": meter},
            )
            for meter, quantity in frame["claims"].items()
        ]
        seconds = Decimal(str(frame["wall_s"])).quantize(_SECOND)
        slot = NewUsage(
            meter=SLOT_SECONDS,
            quantity=seconds,
            event_time=at,
            source="jobs",
            key=f"{job_id}:slot:{int(frame['step'])}",
            dimensions={"job_id": job_id},
        )
        return [*claims, slot]

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        folder, names = Path(frame["artifact"]), [str(name) for name in frame["files"]]
        stored = {name: self._seal(folder / name) for name in names}

        def make(job: Job) -> Made:
            files = {name: self._kept(job, name, each) for name, each in stored.items()}
            result = {"figures": frame["figures"], "files": files, "notices": frame["notices"]}
            return Made(result)

        return make

    def _kept(self, job: Job, name: str, stored: StoredObject) -> str:
        """A file of the tenant's: a dataset is named after what it was made of."""
        sources = self.spec["file_ids"]
        made_of = sources[0] if len(sources) == 1 else ""
        purpose = "user_data"
        if self.spec["steps"][0].get("hook") in MAKES_DATASET:
            purpose = "fine-tune"
            source = File.objects.filter(pk=made_of).values_list("filename", flat=True).first()
            name = f"{Path(source or name).stem}.jsonl"
        row = file_keep(
            tenant_id=job.tenant_id,
            filename=name,
            stored=stored,
            purpose=purpose,
            made_by=job.id,
            made_of=made_of,
        )
        return str(row.id)

    def _seal(self, path: Path) -> StoredObject:
        return object_write(
            tenant_id=self.context.tenant_id,
            key=object_key(self.context.tenant_id, "files"),
            chunks=_chunks(path),
            data_key=self.context.data_key,
        )

    def close(self) -> None:
        pass


def engine_request(step: str, kind: str, text: str, files: Container[str]) -> dict[str, Any]:
    """What a plugin asks of the engine, read from `<step>.json`. Raises CannotRun.

    Data is named as a file of the step before: no id reaches what the plugin was not handed.
    """
    where = f"{step}.json"
    try:
        spec: dict[str, Any] = from_json(dict[str, Any], json.loads(text), where)
    except (ValueError, RecursionError, ContractError) as error:
        raise CannotRun(f"{where} is no JSON object: {error}"[:300], code="engine_step") from error
    if not isinstance(spec.get("model"), str):
        raise CannotRun(f"{where} names no model", code="engine_step")
    if stray := sorted(name for name in spec if name.endswith("_id")):
        raise CannotRun(f"{where}: {stray[0]} is not the plugin's to say", code="engine_step")
    if NEEDS_FILE[kind] not in spec:
        raise CannotRun(f"{where} names no {NEEDS_FILE[kind]}", code="engine_step")
    for name in DATA_FILES:
        if name in spec and not (isinstance(spec[name], str) and spec[name] in files):
            said = f"{where}: {name} is no file of the step before"
            raise CannotRun(said, code="engine_step")
    return spec


def distinct(name: str, taken: Container[str]) -> str:
    """`name`, or with the first number before it that nothing has yet: `1-name`, `2-name` …"""
    numbered = (f"{number}-{name}" for number in itertools.count(1))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        yield from pieces(source)
