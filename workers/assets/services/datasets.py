"""Datasets: a file read once through a base's tokenizer and template, and counted.

A small file is read at once, a large one by a worker (`reading`): its dataset is `validating` until
then.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from workers.assets.datasets import Tally, problem_sentence, tally
from workers.assets.events import DatasetAsked, DatasetValidated
from workers.assets.models import Dataset, File
from workers.assets.readings import READINGS, Reading, Source, task_choose
from workers.assets.selectors import base_model_get, file_get
from workers.assets.sniffing import DATA_KINDS, HEAD, TEXT_PURPOSES, kind_of
from workers.assets.streams import reader
from workers.engine.specs import TabularSpec


class DatasetBeingRead(Conflict):
    """A worker has to read the file first. Where the request fails by this, nobody was asked to."""

    code = "dataset_validating"

    def __init__(self, dataset: Dataset, *, param: str) -> None:
        percent = 100 * dataset.read_bytes // max(dataset.file.bytes, 1)
        super().__init__(
            f"{dataset.file_id} is large, and a worker reads it first ({percent}% so far): "
            "validate it (POST /v1/datasets) and ask again once it is valid, or submit the job, "
            "which waits",
            param=param,
        )
        self.dataset_id = str(dataset.id)


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

    A file with problems gives a dataset that is `invalid` and names them by line; one of more than
    READ_AT_ONCE_BYTES gives one that is `validating`, which a worker reads. It is read for
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
    chosen, how = task_choose(base, task), tabular or TabularSpec()
    source = Source(file)
    reading = READINGS[chosen](source, base, how, training=training)
    _refuse_kind(file, source, chosen, reading, param)
    known: Dataset | None = Dataset.objects.filter(
        file=file, base=base, task=chosen, reading=reading.settings
    ).first()
    if known is not None:
        return known
    figures: dict[str, Any] = {"asked": {"tabular": how.to_dict(), "training": training}}
    if file.bytes > settings.READ_AT_ONCE_BYTES:
        figures |= {"status": Dataset.Status.VALIDATING, "format": reading.format()}
    else:
        figures |= found(reading, tally(reading.items()))
    dataset: Dataset
    dataset, made = Dataset.objects.get_or_create(
        file=file,
        base=base,
        task=chosen,
        reading=reading.settings,
        tenant_id=file.tenant_id,
        defaults={"id": new_id("ds_"), **figures},
    )
    if made:
        audit_record(
            actor=actor, action="dataset.validate", target=dataset.id, data={"file": file.id}
        )
        _tell(dataset, file)
    return dataset


def dataset_require_valid(dataset: Dataset, *, param: str = "training_file") -> None:
    """Raises InvalidInput that names the first problems with their lines; DatasetBeingRead."""
    if dataset.status == Dataset.Status.VALIDATING:
        raise DatasetBeingRead(dataset, param=param)
    if dataset.status == Dataset.Status.INVALID:
        raise InvalidInput(
            f"{dataset.file_id} cannot be used: "
            + problem_sentence(dataset.problems, dataset.problem_count),
            param=param,
            code="invalid_file",
        )


def dataset_conclude(dataset: Dataset, figures: dict[str, Any]) -> None:
    """Write down what a worker found; the dataset's row is locked."""
    for name, value in figures.items():
        setattr(dataset, name, value)
    dataset.read_until = None
    dataset.save(update_fields=[*figures, "read_until"])
    _tell(dataset, dataset.file)


def found(reading: Reading, total: Tally) -> dict[str, Any]:
    """A dataset's fields after its reading."""
    return {
        "format": reading.format(),
        "status": Dataset.Status.INVALID if total.problem_count else Dataset.Status.VALID,
        "template_sha256": reading.template_sha256,
        **asdict(total),
    }


def _refuse_kind(file: File, source: Source, task: str, reading: Reading, param: str) -> None:
    kind = kind_of(reader(source.chunks()).read(HEAD))
    if kind in DATA_KINDS and kind not in reading.kinds:
        raise InvalidInput(
            f"{file.id} is {kind}, which {task} does not read; send {reading.wants}",
            param=param,
            code="invalid_file_type",
        )


def _tell(dataset: Dataset, file: File) -> None:
    told = {"tenant_id": file.tenant_id, "dataset_id": dataset.id, "file_id": file.id}
    if dataset.status == Dataset.Status.VALIDATING:
        emit(DatasetAsked(**told))
        return
    valid = dataset.status == Dataset.Status.VALID
    file.status = File.Status.PROCESSED if valid else File.Status.ERROR
    file.status_details = problem_sentence(dataset.problems, dataset.problem_count)
    file.save(update_fields=["status", "status_details"])
    emit(DatasetValidated(**told, valid=valid))
