"""File names: the last part, harmless, or a clear refusal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import InvalidInput
from workers.assets.filenames import clean_filename


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("train.jsonl", "train.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("/etc/shadow", "shadow"),
        ("C:\\Users\\me\\data.jsonl", "data.jsonl"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("  spaced.jsonl ", "spaced.jsonl"),
        (".hidden", ".hidden"),
        ("数据 训练.jsonl", "数据 训练.jsonl"),
        ("e\u0301.jsonl", "\u00e9.jsonl"),
        ("👩\u200d🔬.jsonl", "👩\u200d🔬.jsonl"),
    ],
)
def test_the_last_part_is_kept(given_name: str, kept: str) -> None:
    assert clean_filename(given_name) == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        ".",
        "..",
        "...",
        "folder/",
        "a/..",
        "nul\x00.jsonl",
        "line\nbreak.jsonl",
        "tab\t.jsonl",
        "bell\x07",
        "invoice\u202egpj.exe",
        "zero\u200bwidth",
        "\ufeffbom.jsonl",
        "line\u2028separator",
        "half\ud800surrogate",
        "x" * 256,
        "é" * 128,
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_filename(name)
    assert refused.value.param == "file"
    refused.value.message.encode()  # the message itself can be sent


@given(st.text())
def test_whatever_is_kept_is_a_plain_name(name: str) -> None:
    try:
        kept = clean_filename(name)
    except InvalidInput:
        return
    assert "/" not in kept
    assert "\\" not in kept
    assert kept.strip(".")
    assert len(kept.encode()) <= 255
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in kept)
    assert clean_filename(kept) == kept
