"""Folders as tar streams: deterministic on the way in, distrustful on the way out."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tenants.kernel.errors import BreakwaterError
from workers.assets.streams import PIECE, pieces


class ArchiveError(BreakwaterError):
    """A folder that cannot be packed, or an archive that is not one of ours."""

    code = "invalid_archive"


@dataclass(frozen=True)
class Limits:
    """What an archive may unfold to: number of files, and bytes in all."""

    files: int = 10_000
    bytes: int = 64 * 2**30


def tar_chunks(folder: Path) -> Iterator[bytes]:
    """The files under `folder` as a tar stream, sorted by name, without times, owners and modes.

    Raises ArchiveError for links, special files, and files that change meanwhile.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArchiveError(f"{path.name} in {folder.name} is neither a file nor a folder")
        if path.is_file():
            yield from _member(path, path.relative_to(folder).as_posix())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(path: Path, name: str) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.mode = 0o600
    with path.open("rb") as source:
        info.size = path.stat().st_size
        yield info.tobuf(tarfile.PAX_FORMAT)
        written = 0
        for piece in pieces(source):
            written += len(piece)
            yield piece
    if written != info.size:
        raise ArchiveError(f"{name} changed its size while it was packed")
    yield bytes(-written % tarfile.BLOCKSIZE)


def tar_extract(source: BinaryIO, into: Path, limits: Limits) -> None:
    """Unpack a tar stream into the new folder `into`: plain files with relative names only.

    Raises ArchiveError; what was unpacked until then stays for the caller to remove.
    """
    into.mkdir(mode=0o700, parents=True)
    files = total = 0
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                files, total = files + 1, total + member.size
                _check(member, files, total, limits)
                _unpack(archive, member, into)
    except (tarfile.TarError, EOFError, FileExistsError, NotADirectoryError) as error:
        raise ArchiveError(f"the archive cannot be unpacked: {error}") from error


def _check(member: tarfile.TarInfo, files: int, total: int, limits: Limits) -> None:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise ArchiveError(f"{member.name!r} in the archive is not a plain file")
    if not _is_safe(member.name):
        raise ArchiveError(f"{member.name!r} in the archive leaves its folder, or is no file name")
    if files > limits.files or total > limits.bytes:
        raise ArchiveError(
            f"the archive holds more than {limits.files} files or {limits.bytes} bytes"
        )


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and "\\" not in name
        and name.isprintable()
        and all(part not in {"/", "..", "."} and len(part.encode()) <= 255 for part in parts)
    )


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    target = into / member.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = archive.extractfile(member)
    if content is None:
        raise ArchiveError(f"{member.name!r} in the archive has no content")
    with target.open("xb") as out:
        while piece := content.read(PIECE):
            out.write(piece)
    if target.stat().st_size != member.size:
        raise ArchiveError(f"{member.name!r} in the archive is cut short")
