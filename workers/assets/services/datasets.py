"""Datasets: a file read once through a base's tokenizer and template, and counted."""

from __future__ import annotations

from dataclasses import asdict

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from workers.assets.datasets import problem_sentence, row_format, tally
from workers.assets.events import DatasetValidated
from workers.assets.models import BaseModel, Dataset, File
from workers.assets.selectors import base_model_get, file_chunks, file_get, text_reader
from workers.assets.sniffing import TEXT_PURPOSES
from workers.assets.streams import reader
from workers.engine.data.readers import LINE_LIMIT, read_stream
from workers.engine.specs import MAX_LENGTH


def dataset_validate(
    *, actor: Actor, file_id: str, base_id: str, param: str = "training_file"
) -> Dataset:
    """Read a file for a base model; the same file and base give the same dataset.

    A file with problems gives a dataset that is `invalid` and names them by line. Raises NotFound,
    InvalidInput for a file of another purpose or a base that takes no text.
    """
    actor.require("files.read")
    file = file_get(file_id, param=param)
    base = base_model_get(base_id)
    if file.purpose not in TEXT_PURPOSES or base.kind != BaseModel.Kind.TEXT_GENERATION:
        raise InvalidInput(
            f"{file.id} has the purpose {file.purpose!r} and {base.id} is for {base.kind}; upload "
            "the data with the purpose 'fine-tune' and choose a text generation model",
            param=param,
        )
    known: Dataset | None = Dataset.objects.filter(file=file, base=base).first()
    return known or _read(actor, file, base)


def dataset_require_valid(dataset: Dataset, *, param: str = "training_file") -> None:
    """Raises InvalidInput that names the first problems with their lines."""
    if dataset.status == Dataset.Status.INVALID:
        raise InvalidInput(
            f"{dataset.file_id} cannot be used: "
            + problem_sentence(dataset.problems, dataset.problem_count),
            param=param,
            code="invalid_file",
        )


def _read(actor: Actor, file: File, base: BaseModel) -> Dataset:
    text = text_reader(base)
    source = reader(file_chunks(file))
    total = tally(read_stream(source, text.tokenizer, text.template, "error", MAX_LENGTH))
    figures = asdict(total)
    dataset: Dataset
    dataset, made = Dataset.objects.get_or_create(
        file=file,
        base=base,
        tenant_id=file.tenant_id,
        defaults={
            "id": new_id("ds_"),
            "format": row_format(reader(file_chunks(file)).readline(LINE_LIMIT)),
            "status": Dataset.Status.INVALID if total.problem_count else Dataset.Status.VALID,
            "template_sha256": text.template.sha256 if text.template else "",
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
