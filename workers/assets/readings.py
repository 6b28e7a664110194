"""How a file is read for a task: one small class each; and what each kind of base can learn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Protocol, cast

from django.conf import settings

from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import InvalidInput
from workers.assets.datasets import row_format
from workers.assets.models import BaseModel, File
from workers.assets.selectors import text_reader
from workers.assets.sniffing import HEAD, PARQUET, ZIP, kind_of
from workers.assets.storage import object_read
from workers.assets.streams import reader
from workers.engine.data.images import ImageFormat
from workers.engine.data.labelled import labelled_read
from workers.engine.data.preferences import preferences_read
from workers.engine.data.readers import LINE_LIMIT, read_stream
from workers.engine.data.recordings import AudioFormat
from workers.engine.data.samples import Format, samples_read
from workers.engine.data.tables import table_read
from workers.engine.data.text_pairs import pairs_read
from workers.engine.specs import MAX_LENGTH, TabularSpec

NO_KINDS: frozenset[str] = frozenset()
IN_MEMORY = 64 * 2**20  # bytes of a file that is read by seeking


class Source:
    """A file's bytes, as often as they are asked for, and how far they were ever read.

    Made in a scope; read without one, so that no transaction stays open meanwhile.
    """

    def __init__(self, file: File) -> None:
        self._file, self._data_key = file, tenant_data_key(file.tenant_id)
        self.read_bytes = 0
        self.tell: Callable[[], None] = lambda: None  # called with each piece

    def chunks(self) -> Iterator[bytes]:
        file, come = self._file, 0
        for chunk in object_read(
            tenant_id=file.tenant_id, key=file.storage_key, data_key=self._data_key
        ):
            come += len(chunk)
            self.read_bytes = max(self.read_bytes, come)
            self.tell()
            yield chunk


class Reading(Protocol):
    """One file through one base. `settings` (JSON) tells readings of the same file apart."""

    settings: str
    template_sha256: str
    kinds: frozenset[str]  # of files that are not text
    wants: str

    def items(self) -> Iterator[Any]:
        """Examples and problems, as `tally` takes them."""

    def format(self) -> str:
        """What the file holds, in a word."""


class TextReading:
    """Chats, completions and texts, through a tokenizer and a chat template."""

    settings = ""
    kinds, wants = NO_KINDS, "JSONL, an object a line"

    def __init__(self, source: Source, base: BaseModel, _: TabularSpec, *, training: bool) -> None:
        del training  # every row of text teaches something, or is refused
        self._source, self._text = source, text_reader(base)
        self.template_sha256 = self._text.template.sha256 if self._text.template else ""

    def items(self) -> Iterator[Any]:
        source, text = reader(self._source.chunks()), self._text
        yield from read_stream(source, text.tokenizer, text.template, "error", MAX_LENGTH)

    def format(self) -> str:
        return row_format(reader(self._source.chunks()).readline(LINE_LIMIT))


class TableReading:
    """A table, by its target column; the network plays no part."""

    template_sha256 = ""
    kinds, wants = frozenset({PARQUET}), "CSV or Parquet"

    def __init__(self, source: Source, _: BaseModel, spec: TabularSpec, *, training: bool) -> None:
        self._source, self._spec, self._training = source, spec, training
        told = {"target": spec.target, "problem": spec.problem, "training": training}
        self.settings = json.dumps(told, sort_keys=True, ensure_ascii=False)

    def items(self) -> Iterator[Any]:
        source = reader(self._source.chunks())
        table, problems = table_read(source, self._spec, training=self._training)
        yield from problems
        yield from table.rows if table else ()

    def format(self) -> str:
        return "parquet" if _kind(self._source) == PARQUET else "csv"


class LabelledReading:
    """Texts with a class each, through a tokenizer."""

    template_sha256 = ""
    kinds, wants = NO_KINDS, "JSONL, an object a line"

    def __init__(self, source: Source, base: BaseModel, _: TabularSpec, *, training: bool) -> None:
        self._source, self._tokenizer = source, text_reader(base).tokenizer
        self._training = training
        self.settings = json.dumps({"training": training})

    def items(self) -> Iterator[Any]:
        source = reader(self._source.chunks())
        yield from labelled_read(
            source, self._tokenizer, "error", MAX_LENGTH, training=self._training
        )

    def format(self) -> str:
        return "labelled"


class PairReading:
    """Texts that belong together, through a tokenizer."""

    template_sha256 = ""
    kinds, wants = NO_KINDS, "JSONL, an object a line"

    def __init__(self, source: Source, base: BaseModel, _: TabularSpec, *, training: bool) -> None:
        self._source, self._tokenizer = source, text_reader(base).tokenizer
        self._training = training
        self.settings = json.dumps({"training": training})

    def items(self) -> Iterator[Any]:
        source = reader(self._source.chunks())
        yield from pairs_read(source, self._tokenizer, "error", MAX_LENGTH, training=self._training)

    def format(self) -> str:
        return "pairs"


class PreferenceReading(TextReading):
    """Pairs of outputs, through a tokenizer and a chat template."""

    def items(self) -> Iterator[Any]:
        source, text = reader(self._source.chunks()), self._text
        yield from preferences_read(source, text.tokenizer, text.template, "error", MAX_LENGTH)

    def format(self) -> str:
        return "preference"


class SampleReading:
    """Images or recordings with a class each, as a model of their shape reads them."""

    template_sha256 = ""
    kinds, wants = frozenset({ZIP}), "a zip archive of class folders, or JSONL"

    def __init__(
        self,
        form: Callable[[Path], Format],
        source: Source,
        base: BaseModel,
        _: TabularSpec,
        *,
        training: bool,
    ) -> None:
        self._source, self._form = source, form(Path(base.path))
        self._training = training
        self.settings = json.dumps({"training": training})

    def items(self) -> Iterator[Any]:
        """The file in a nameless place: an archive is read by seeking."""
        settings.SCRATCH_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        with SpooledTemporaryFile(IN_MEMORY, dir=str(settings.SCRATCH_DIR)) as whole:
            shutil.copyfileobj(reader(self._source.chunks()), whole)
            whole.seek(0)
            yield from samples_read(
                cast("BinaryIO", whole), self._form, None, training=self._training
            )

    def format(self) -> str:
        return "zip" if _kind(self._source) == ZIP else "labelled"


def _kind(source: Source) -> str | None:
    return kind_of(reader(source.chunks()).read(HEAD))


READINGS: Mapping[str, Callable[..., Reading]] = {
    "text_generation": TextReading,
    "preference": PreferenceReading,
    "text_classification": LabelledReading,
    "embeddings": PairReading,
    "tabular": TableReading,
    "image_classification": partial(SampleReading, ImageFormat.load),
    "audio_classification": partial(SampleReading, AudioFormat.load),
}

# What a base can learn, its own task first.
TASKS_OF: Mapping[str, tuple[str, ...]] = {
    BaseModel.Kind.TEXT_GENERATION: ("text_generation", "preference", "text_classification"),
    BaseModel.Kind.EMBEDDING: ("embeddings", "text_classification"),
    BaseModel.Kind.TABULAR: ("tabular",),
    BaseModel.Kind.IMAGE: ("image_classification",),
    BaseModel.Kind.AUDIO: ("audio_classification",),
}


def task_choose(base: BaseModel, wished: str | None) -> str:
    """The task to read for: the wished one, else the base's own.

    Raises InvalidInput where the base cannot learn it.
    """
    known = TASKS_OF[base.kind]
    if wished is not None and wished not in known:
        raise InvalidInput(
            f"{base.id} is a {base.kind} model and cannot learn {wished!r}; it can learn "
            f"{' or '.join(known)}",
            param="task",
        )
    return wished or known[0]
