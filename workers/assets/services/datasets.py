"""Datasets: a file read once through a base's tokenizer and template, and counted."""

from __future__ import annotations

from dataclasses import asdict

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from workers.assets.datasets import problem_sentence, tally
from workers.assets.events import DatasetValidated
from workers.assets.models import BaseModel, Dataset, File
from workers.assets.readings import READINGS, Reading, task_choose
from workers.assets.selectors import base_model_get, file_chunks, file_get
from workers.assets.sniffing import DATA_KINDS, HEAD, TEXT_PURPOSES, kind_of
from workers.assets.streams import reader
from workers.engine.specs import TabularSpec


def dataset_validate(
    *,
    actor: Actor,
    file_id: str,
    base_id: str,
    task: str | None = None,
    tabular: TabularSpec | None = None,
    training: bool = True,
    param: str = "training_file",
) -> Dataset:
    """Read a file for a base model; the same file, base and settings give the same dataset.

    A file with problems gives a dataset that is `invalid` and names them by line. It is read for
    `task`, by default the base's own; `tabular` tells how to read a table, and `training` that
    there must be something to learn. Raises NotFound, InvalidInput for a file of another purpose
    or a task that the base cannot learn.
    """
    actor.require("files.read")
    file = file_get(file_id, param=param)
    base = base_model_get(base_id)
    if file.purpose not in TEXT_PURPOSES:
        raise InvalidInput(
            f"{file.id} has the purpose {file.purpose!r}; upload the data with the purpose "
            "'fine-tune'",
            param=param,
        )
    chosen = task_choose(base, task)
    reading = READINGS[chosen](file, base, tabular or TabularSpec(), training=training)
    _refuse_kind(file, chosen, reading, param)
    known: Dataset | None = Dataset.objects.filter(
        file=file, base=base, task=chosen, reading=reading.settings
    ).first()
    return known or _read(actor, file, base, chosen, reading)


def dataset_require_valid(dataset: Dataset, *, param: str = "training_file") -> None:
    """Raises InvalidInput that names the first problems with their lines."""
    if dataset.status == Dataset.Status.INVALID:
        raise InvalidInput(
            f"{dataset.file_id} cannot be used: "
            + problem_sentence(dataset.problems, dataset.problem_count),
            param=param,
            code="invalid_file",
        )


def _refuse_kind(file: File, task: str, reading: Reading, param: str) -> None:
    kind = kind_of(reader(file_chunks(file)).read(HEAD))
    if kind in DATA_KINDS and kind not in reading.kinds:
        raise InvalidInput(
            f"{file.id} is {kind}, which {task} does not read; send {reading.wants}",
            param=param,
            code="invalid_file_type",
        )


def _read(actor: Actor, file: File, base: BaseModel, task: str, reading: Reading) -> Dataset:
    total = tally(reading.items())
    figures = asdict(total)
    dataset: Dataset
    dataset, made = Dataset.objects.get_or_create(
        file=file,
        base=base,
        task=task,
        reading=reading.settings,
        tenant_id=file.tenant_id,
        defaults={
            "id": new_id("ds_"),
            "format": reading.format(),
            "status": Dataset.Status.INVALID if total.problem_count else Dataset.Status.VALID,
            "template_sha256": reading.template_sha256,
            **figures,
        },
    )
    if made:
        _tell(actor, dataset, file)
    return dataset


def _tell(actor: Actor, dataset: Dataset, file: File) -> None:
    valid = dataset.status == Dataset.Status.VALID
    file.status = File.Status.PROCESSED if valid else File.Status.ERROR
    file.status_details = problem_sentence(dataset.problems, dataset.problem_count)
    file.save(update_fields=["status", "status_details"])
    audit_record(actor=actor, action="dataset.validate", target=dataset.id, data={"file": file.id})
    emit(
        DatasetValidated(
            tenant_id=file.tenant_id, dataset_id=dataset.id, file_id=file.id, valid=valid
        )
    )
