"""Labelled images or recordings: a zip of class folders, a zip with `metadata.jsonl`, or JSONL.

Class folders: `cat/1.png`. The metadata: `{"file_name": "1.png", "label": "cat"}` a line, names
relative to it (Hugging Face's convention). JSONL: `{"image": "data:image/png;base64,…", "label":
"cat"}`. Archives are read with limits and never unpacked. Free of torch.
"""

from __future__ import annotations

import base64
import binascii
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from workers.engine.data.classes import label_read
from workers.engine.data.problems import Problem
from workers.engine.data.readers import json_line, numbered_lines
from workers.engine.data.rows import RowError

ZIP = b"PK"
METADATA = "metadata.jsonl"
MOST_FILES = 200_000
MOST_BYTES = 32 * 2**20  # of one file, unpacked
MOST_IN_ALL = 8 * 2**30  # bytes of all files, unpacked
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError)

_DATA_URL = re.compile(r"data:(\w+)/[\w.+-]+;base64,(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Item:
    """One file's bytes with its class; `name` is where it was found."""

    line: int
    name: str
    label: str
    content: bytes


def media_read(handle: BinaryIO, noun: str) -> Iterator[Item | Problem]:
    """Every item of a file, in its order; `noun` ("image", "audio") is the JSONL field's name.

    A zip is read by seeking. In a zip of class folders, lines count the files.
    """
    head = handle.read(len(ZIP))
    handle.seek(0)
    if head == ZIP:
        yield from _zip(handle)
        return
    for line, raw in numbered_lines(handle):
        try:
            row = _object(json_line(raw), f'{{"{noun}": "data:{noun}/…;base64,…", "label": …}}')
            yield Item(line, noun, label_read(row.get("label")), url_bytes(row.get(noun), noun))
        except RowError as error:
            yield _problem(line, error)


def url_bytes(url: Any, noun: str) -> bytes:
    """The content of a data URL (RFC 2397) in base64. Raises RowError."""
    fix = f'write "data:{noun}/…;base64,…".'
    found = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None or found[1] != noun:
        raise RowError(noun, "no_data_url", f"there is no {noun} as a data URL", fix)
    try:
        return base64.b64decode(found[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowError(noun, "not_base64", f"the {noun} is not base64 ({error})", fix) from error


def _zip(handle: BinaryIO) -> Iterator[Item | Problem]:
    try:
        with zipfile.ZipFile(handle) as archive:
            files = {i.filename: i for i in archive.infolist() if _is_file(i)}
            if len(files) > MOST_FILES:
                reason = f"the archive holds over {MOST_FILES:,} files"
                yield Problem(0, "file", "too_many_files", reason, "split it.")
                return
            if sum(info.file_size for info in files.values()) > MOST_IN_ALL:  # never read beyond
                reason = f"the archive unfolds to over {MOST_IN_ALL // 2**30} GiB"
                yield Problem(
                    0, "file", "too_large", reason, "split it, or make its files smaller."
                )
                return
            listed = [name for name in files if PurePosixPath(name).name == METADATA]
            yield from _listed(archive, files, listed) if listed else _folders(archive, files)
    except BROKEN as error:
        reason = f"the zip archive cannot be read ({error})"
        yield Problem(0, "file", "not_zip", reason, "pack it again.")


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Not a folder, and not what desktops leave in archives."""
    parts = PurePosixPath(info.filename).parts
    return not info.is_dir() and not any(p.startswith((".", "__MACOSX")) for p in parts)


def _folders(archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo]) -> Iterator[Any]:
    for line, (name, info) in enumerate(files.items(), start=1):
        try:
            yield Item(line, name, _folder_of(name), _content(archive, info))
        except RowError as error:
            yield _problem(line, error)


def _folder_of(name: str) -> str:
    folder = PurePosixPath(name).parent.name
    if not folder:
        fix = "put it into a folder that is named after its class."
        raise RowError(name, "no_class", "the file lies in no folder", fix)
    return label_read(folder)


def _listed(
    archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo], listed: list[str]
) -> Iterator[Any]:
    if len(listed) > 1:
        reason = f"there are {len(listed)} files {METADATA}"
        yield Problem(0, "file", "unclear_metadata", reason, "keep one.")
        return
    folder = PurePosixPath(listed[0]).parent
    with archive.open(listed[0]) as rows:
        for line, raw in numbered_lines(rows):  # type: ignore[arg-type]
            try:
                row = _object(json_line(raw), '{"file_name": "1.png", "label": …}')
                info = _named(files, folder, row.get("file_name"))
                label = label_read(row.get("label"))
                yield Item(line, "file_name", label, _content(archive, info))
            except RowError as error:
                yield _problem(line, error)


def _named(files: dict[str, zipfile.ZipInfo], folder: PurePosixPath, name: Any) -> zipfile.ZipInfo:
    info = files.get(str(folder / name)) if isinstance(name, str) else None
    if info is None:
        fix = "name a file of the archive, relative to the metadata."
        raise RowError("file_name", "no_file", f"there is no file {name!r}", fix)
    return info


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpacked in memory, never beyond the limit, whatever the archive says of the size."""
    try:
        with archive.open(info) as source:
            content = source.read(MOST_BYTES + 1)
    except (*BROKEN, RuntimeError, NotImplementedError) as error:
        reason = f"the file cannot be unpacked ({error})"
        raise RowError(info.filename, "damaged", reason, "pack it again, plain.") from error
    if len(content) > MOST_BYTES:
        reason = f"the file is larger than {MOST_BYTES // 2**20} MiB"
        raise RowError(info.filename, "too_large", reason, "make it smaller.")
    return content


def _object(row: Any, example: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise RowError("line", "not_an_object", "the line is no object", f"write {example}.")
    return row


def _problem(line: int, error: RowError) -> Problem:
    return Problem(line, error.field, error.code, error.reason, error.fix)
