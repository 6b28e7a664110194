"""Folders as tar streams: deterministic in, distrustful out."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.assets.archive import ArchiveError, Limits, tar_chunks, tar_extract

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True)


def filled(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def read_back(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def extract(data: bytes, into: Path, **limits: int) -> None:
    tar_extract(io.BytesIO(data), into, Limits(**limits))


def hostile(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An archive as an attacker could make it with Python's own writer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.dictionaries(
        NAMES.map(lambda n: n + ".x"), st.sampled_from([0, 1, 511, 512, 513, 70_000]), max_size=6
    )
)
def test_a_folder_comes_back_as_it_was(
    sizes: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tar")
    files = {name: os.urandom(size) for name, size in sizes.items()}
    (root / "in").mkdir()
    data = b"".join(tar_chunks(filled(root / "in", files)))

    extract(data, root / "out")

    assert read_back(root / "out") == files


def test_pythons_own_reader_understands_it(tmp_path: Path) -> None:
    long = "deep/" * 30 + "é" * 60 + ".txt"
    data = b"".join(tar_chunks(filled(tmp_path, {"a.txt": b"1", long: b"2"})))

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    assert found == {"a.txt": b"1", long: b"2"}


def test_equal_files_give_equal_streams_whenever_and_whoever(tmp_path: Path) -> None:
    files = {"b/c.txt": b"2", "a.txt": b"1"}
    one, two = (
        filled(tmp_path / "one", files),
        filled(tmp_path / "two", dict(reversed(files.items()))),
    )
    os.utime(one / "a.txt", (1, 1))
    (one / "a.txt").chmod(0o640)

    assert b"".join(tar_chunks(one)) == b"".join(tar_chunks(two))


@pytest.mark.parametrize("make", [lambda p: p.symlink_to("a.txt"), os.mkfifo])
def test_links_and_special_files_are_not_packed(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    filled(tmp_path, {"a.txt": b"1"})
    make(tmp_path / "odd")

    with pytest.raises(ArchiveError, match="odd"):
        list(tar_chunks(tmp_path))


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "a\\b", "..", "a\nb", "é" * 200]
)
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    data = hostile((tarfile.TarInfo(name), b"x"))

    with pytest.raises(ArchiveError):
        extract(data, tmp_path / "deep" / "out")
    assert read_back(tmp_path) == {}


@pytest.mark.parametrize(
    "info",
    [
        link("a", "/etc/passwd"),
        link("a", "b", tarfile.LNKTYPE),
        link("a", "", tarfile.DIRTYPE),
        link("a", "", tarfile.FIFOTYPE),
        link("a", "", tarfile.CHRTYPE),
        link("a", "", tarfile.BLKTYPE),
        link("a", "", tarfile.GNUTYPE_SPARSE),
    ],
)
def test_only_plain_files_are_unpacked(info: tarfile.TarInfo, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        extract(hostile((info, b"")), tmp_path / "out")
    assert read_back(tmp_path) == {}


def test_a_link_and_a_file_through_it_write_nothing_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = hostile((link("door", str(outside)), b""), (tarfile.TarInfo("door/evil"), b"x"))

    with pytest.raises(ArchiveError):
        extract(data, tmp_path / "out")
    assert read_back(tmp_path) == {}


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    data = hostile((tarfile.TarInfo("a"), b"1"), (tarfile.TarInfo("a"), b"2"))

    with pytest.raises(ArchiveError):
        extract(data, tmp_path / "out")


def test_limits_hold_before_anything_past_them_is_written(tmp_path: Path) -> None:
    many = hostile(*((tarfile.TarInfo(f"f{n}"), b"x") for n in range(5)))
    large = hostile((tarfile.TarInfo("f"), bytes(2_000)))

    for name, data, limits in (
        ("many", many, {"files": 3}),
        ("large", large, {"bytes": 1_000}),
    ):
        with pytest.raises(ArchiveError, match="more than"):
            extract(data, tmp_path / name, **limits)
    assert len(read_back(tmp_path / "many")) == 3
    assert read_back(tmp_path / "large") == {}


@pytest.mark.parametrize("cut", [100, 512, 600, 1023])
def test_an_archive_cut_short_is_refused(cut: int, tmp_path: Path) -> None:
    data = hostile((tarfile.TarInfo("a"), bytes(1_000)))

    with pytest.raises(ArchiveError):
        extract(data[:cut], tmp_path / "out")


def test_noise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        extract(os.urandom(4096), tmp_path / "out")


def test_unpacked_files_are_their_owners_alone(tmp_path: Path) -> None:
    extract(hostile((tarfile.TarInfo("deep/a"), b"x")), tmp_path / "out")

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
