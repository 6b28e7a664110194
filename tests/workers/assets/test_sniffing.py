"""What a file really is, whatever it is called and however it is cut."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import pickle
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import InvalidInput, TooLarge
from workers.assets.sniffing import DATA_PURPOSES, PURPOSES, TEXT_PURPOSES, checked, kind_of


def pass_through(
    data: bytes, purpose: str = "fine-tune", cut: int = 3, limit: int = 10**7
) -> bytes:
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    return b"".join(checked(pieces, purpose=purpose, max_bytes=limit))


def refusal(data: bytes, purpose: str = "fine-tune", cut: int = 3) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        pass_through(data, purpose, cut)
    assert refused.value.param == "file"
    return refused.value


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("train.jsonl", "{}")
    return buffer.getvalue()


PICKLES = [pickle.dumps({"a": 1}, protocol) for protocol in (2, 3, 4, 5)]


@given(st.text(min_size=1).filter(lambda t: "\x00" not in t), st.integers(1, 7))
def test_text_passes_unchanged_however_it_is_cut(text: str, cut: int) -> None:
    data = b"{" + text.encode("utf-8", "surrogatepass")
    if "\ud800" <= max(text) <= "\udfff" or any("\ud800" <= c <= "\udfff" for c in text):
        return
    assert pass_through(data, cut=cut) == data


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
@pytest.mark.parametrize("data", PICKLES, ids=["2", "3", "4", "5"])
def test_pickles_are_refused_for_every_purpose(data: bytes, purpose: str) -> None:
    for cut in (1, 3, 1_000):
        error = refusal(data, purpose, cut)
        assert error.code == "invalid_file_type"
        assert "pickle" in error.message


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
def test_programs_are_refused_for_every_purpose(purpose: str) -> None:
    interpreter = Path(sys.executable).resolve().read_bytes()[:4096]
    for data in (interpreter, b"MZ\x90\x00" + bytes(64), b"#!/bin/sh\nrm -rf /\n"):
        assert refusal(data, purpose).code == "invalid_file_type"


@pytest.mark.parametrize("purpose", sorted(DATA_PURPOSES))
def test_data_may_be_a_zip_of_files_or_a_parquet_table(purpose: str) -> None:
    for data in (zipped(), b"PAR1" + bytes(64)):
        assert pass_through(data, purpose) == data


@pytest.mark.parametrize("purpose", sorted(TEXT_PURPOSES))
def test_archives_images_and_tables_are_refused_where_jsonl_is_meant(purpose: str) -> None:
    for data, name in (
        (gzip.compress(b"{}"), "gzip"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
    ):
        error = refusal(data, purpose)
        assert name in error.message
        assert "JSONL" in error.message


def test_a_batch_is_jsonl_and_nothing_else() -> None:
    for data, name in ((zipped(), "zip"), (b"PAR1....", "Parquet")):
        assert name in refusal(data, "batch").message


def test_a_zip_may_be_user_data() -> None:
    assert pass_through(zipped(), "user_data") == zipped()


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (b"\xff\xff", 3),
        (b"caf\xe9", 3),  # Latin-1
        (b"\xed\xa0\x80", 3),  # half a surrogate pair
        (b"\xc0\xaf", 3),  # an overlong slash
    ],
)
def test_bytes_that_are_not_utf8_are_named_with_their_line(bad: bytes, line: int) -> None:
    good = json.dumps({"text": "é" * 50}, ensure_ascii=False).encode() + b"\n"
    for cut, tail in itertools.product((1, 2, 3, 64, 10_000), (b"", b"\n" + good)):
        error = refusal(good + good + b'{"text": "' + bad + tail, cut=cut)
        assert error.code == "invalid_utf8"
        assert f"line {line} " in error.message


def test_a_character_cut_off_at_the_end_is_named() -> None:
    error = refusal(b'{"a": 1}\n' + "é".encode()[:1])

    assert error.code == "invalid_utf8"
    assert "line 2 " in error.message


def test_a_nul_byte_is_no_text() -> None:
    error = refusal(b'{"a": 1}\n{"a\x00": 1}\n', cut=4)

    assert (error.code, "line 2 " in error.message) == ("invalid_file_type", True)


def test_an_empty_file_is_refused_for_every_purpose() -> None:
    for purpose in PURPOSES:
        assert refusal(b"", purpose).code == "empty_file"


def test_the_limit_is_exact_and_stops_reading() -> None:
    assert len(pass_through(b"x" * 100, limit=100)) == 100
    source = itertools.repeat(b"x" * 10)
    with pytest.raises(TooLarge):
        list(checked(source, purpose="fine-tune", max_bytes=95))
    next(source)  # an endless upload was left standing


def test_plain_text_is_of_no_special_kind() -> None:
    assert kind_of(b'{"messages": []}') is None
    assert kind_of(b"") is None
