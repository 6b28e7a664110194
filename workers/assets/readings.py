"""How a file is read, by what its base model is for: one small class each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from workers.assets.datasets import row_format
from workers.assets.models import BaseModel, File
from workers.assets.selectors import file_chunks, text_reader
from workers.assets.streams import reader
from workers.engine.data.readers import LINE_LIMIT, read_stream
from workers.engine.data.tables import PARQUET, table_read
from workers.engine.specs import MAX_LENGTH, TabularSpec


class Reading(Protocol):
    """One file through one base. `settings` (JSON) tells readings of the same file apart."""

    settings: str
    template_sha256: str

    def items(self) -> Iterator[Any]:
        """Examples and problems, as `tally` takes them."""

    def format(self) -> str:
        """What the file holds, in a word."""


class TextReading:
    """Chats, completions and texts, through a tokenizer and a chat template."""

    settings = ""

    def __init__(self, file: File, base: BaseModel, _: TabularSpec, *, training: bool) -> None:
        del training  # every row of text teaches something, or is refused
        self._file, self._text = file, text_reader(base)
        self.template_sha256 = self._text.template.sha256 if self._text.template else ""

    def items(self) -> Iterator[Any]:
        source, text = reader(file_chunks(self._file)), self._text
        yield from read_stream(source, text.tokenizer, text.template, "error", MAX_LENGTH)

    def format(self) -> str:
        return row_format(reader(file_chunks(self._file)).readline(LINE_LIMIT))


class TableReading:
    """A table, by its target column; the network plays no part."""

    template_sha256 = ""

    def __init__(self, file: File, _: BaseModel, spec: TabularSpec, *, training: bool) -> None:
        self._file, self._spec, self._training = file, spec, training
        told = {"target": spec.target, "problem": spec.problem, "training": training}
        self.settings = json.dumps(told, sort_keys=True, ensure_ascii=False)

    def items(self) -> Iterator[Any]:
        source = reader(file_chunks(self._file))
        table, problems = table_read(source, self._spec, training=self._training)
        yield from problems
        yield from table.rows if table else ()

    def format(self) -> str:
        head = reader(file_chunks(self._file)).read(len(PARQUET))
        return "parquet" if head == PARQUET else "csv"


READINGS: Mapping[str, Callable[..., Reading]] = {
    BaseModel.Kind.TEXT_GENERATION: TextReading,
    BaseModel.Kind.TABULAR: TableReading,
}
