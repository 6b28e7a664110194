"""Archives and data URLs of images: every way to be broken has its line, its reason, its remedy."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from tests.workers.engine.tasks.media import colours, data_url, png
from workers.engine.data import media, samples
from workers.engine.data.images import ImageFormat
from workers.engine.data.problems import Problem
from workers.engine.data.samples import Sample, samples_read

FORMAT = ImageFormat(
    height=8, width=8, channels=3, tokens=4, resample=2, mean=(0.5,) * 3, std=(0.5,) * 3
)
GOOD = colours(1)[0][1]


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def read(content: bytes, *, training: bool = False) -> tuple[list[Sample], list[Problem]]:
    found = list(samples_read(io.BytesIO(content), FORMAT, "error", training=training))
    samples = [each for each in found if isinstance(each, Sample)]
    return samples, [each for each in found if isinstance(each, Problem)]


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_a_samples_class_is_its_folder_and_its_line_its_place() -> None:
    files = {"a/x.png": GOOD, "b/deep/x.png": GOOD, "__MACOSX/a/x.png": b"?", "a/.DS_Store": b"?"}
    samples, problems = read(zipped(files))
    assert not problems
    assert [(s.line, s.label, s.tokens) for s in samples] == [(1, "a", 4), (2, "deep", 4)]
    assert samples[0].values.shape == (3, 8, 8)


def test_metadata_may_lie_in_a_folder_and_names_files_beside_it() -> None:
    rows = jsonl({"file_name": "1.png", "label": 7})
    samples, problems = read(zipped({"set/metadata.jsonl": rows, "set/1.png": GOOD}))
    assert not problems
    assert samples[0].label == "7"


LISTED = "metadata.jsonl"
BROKEN: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "line 0, file", "no usable image"),
    "empty zip": (zipped({}), "line 0, file", "no usable image"),
    "cut zip": (zipped({"a/1.png": GOOD})[:-30], "line 0, file", "cannot be read"),
    "no folder": (zipped({"1.png": GOOD}), "line 1, 1.png", "lies in no folder"),
    "no image": (zipped({"a/1.png": b"hello"}), "line 1, a/1.png", "no image that is known"),
    "half": (zipped({"a/1.png": GOOD[:200]}), "line 1, a/1.png", "image is damaged"),
    "pickle": (zipped({"a/1.pkl": b"\x80\x04."}), "line 1, a/1.pkl", "no image that is known"),
    "svg": (zipped({"a/1.svg": b"<svg/>"}), "line 1, a/1.svg", "no image that is known"),
    "deep": (
        zipped({"a/1.png": png(np.zeros((9, 9), dtype=np.uint16))}),
        "line 1, a/1.png",
        "more than eight bits",
    ),
    "no file": (
        zipped({LISTED: jsonl({"file_name": "2.png", "label": "a"}), "1.png": GOOD}),
        "line 1, file_name",
        "there is no file '2.png'",
    ),
    "no name": (zipped({LISTED: jsonl({"label": "a"})}), "line 1, file_name", "no file None"),
    "no label": (
        zipped({LISTED: jsonl({"file_name": "1.png"}), "1.png": GOOD}),
        "line 1, label",
        "the label is None",
    ),
    "bad json": (zipped({LISTED: b"{"}), "line 1, line", "not JSON"),
    "two lists": (zipped({LISTED: b"", "b/" + LISTED: b""}), "line 0, file", "2 files"),
    "no url": (jsonl({"image": "cat.png", "label": "a"}), "line 1, image", "no image as a data"),
    "other url": (
        jsonl({"image": data_url(GOOD, "audio/wav"), "label": "a"}),
        "line 1, image",
        "no image as a data URL",
    ),
    "bad base64": (
        jsonl({"image": "data:image/png;base64,%%", "label": "a"}),
        "line 1, image",
        "not base64",
    ),
    "list": (jsonl(["a"]), "line 1, line", "no object"),
    "a table": (b"a,b\n1,2\n", "line 1, line", "not JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_with_a_remedy(name: str) -> None:
    content, where, why = BROKEN[name]
    samples, problems = read(content)
    assert not samples
    assert str(problems[0]).startswith(where), problems[0]
    assert why in problems[0].reason
    assert problems[0].fix.endswith(".")


def test_one_broken_file_does_not_hide_the_others() -> None:
    samples, problems = read(zipped({"a/1.png": GOOD, "a/2.png": b"?", "b/3.png": GOOD}))
    assert [s.line for s in samples] == [1, 3]
    assert [p.line for p in problems] == [2]


def test_a_class_with_one_example_is_refused_for_training_only() -> None:
    content = zipped({"a/1.png": GOOD, "a/2.png": GOOD, "b/3.png": GOOD})
    assert not read(content)[1]
    (problem,) = read(content, training=True)[1]
    assert str(problem).startswith("line 3, label: the class 'b' has one example only")


def test_a_file_that_unfolds_beyond_the_limit_is_read_no_further() -> None:
    bomb = zipped({"a/1.png": bytes(media.MOST_BYTES + 2**20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**16
    (problem,) = [p for p in read(bomb)[1] if p.line]
    assert "larger than 32 MiB" in problem.reason


def test_an_image_that_unfolds_beyond_the_limit_is_not_unfolded() -> None:
    wide = io.BytesIO()
    from PIL import Image

    Image.new("1", (20_000, 20_000)).save(wide, "PNG")
    assert len(wide.getvalue()) < 2**17
    (problem,) = [p for p in read(zipped({"a/1.png": wide.getvalue()}))[1] if p.line]
    assert problem.code == "too_many_pixels"


def test_images_that_unfold_beyond_the_limit_in_all_are_read_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "MOST_UNFOLDED", 2 * 20 * 20 * 3 - 1)
    found, problems = read(zipped({f"a/{n}.png": GOOD for n in range(4)}))
    assert len(found) == 2
    assert str(problems[0]).startswith("line 3, a/2.png: what comes before it unfolds to over")
    assert len(problems) == 1


def test_an_encrypted_file_is_refused() -> None:
    content = bytearray(zipped({"a/1.png": GOOD}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag "encrypted"
    (problem,) = [p for p in read(bytes(content))[1] if p.line]
    assert "cannot be unpacked" in problem.reason


def test_an_archive_that_unfolds_beyond_the_limit_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = zipped({f"a/{n}.png": bytes(2**19) for n in range(3)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**13
    monkeypatch.setattr(media, "MOST_IN_ALL", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unfolded"))
    assert "unfolds to over" in read(bomb)[1][0].reason


def test_a_file_that_claims_to_be_small_is_read_no_further_than_that() -> None:
    content = bytearray(zipped({"a/1.png": bytes(2**20)}, zipfile.ZIP_DEFLATED))
    size = (2**20).to_bytes(4, "little")
    while size in content:
        at = content.index(size)
        content[at : at + 4] = (100).to_bytes(4, "little")
    (problem,) = [p for p in read(bytes(content))[1] if p.line]
    assert problem.code in {"damaged", "not_an_image"}


def test_more_files_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST_FILES", 2)
    problems = read(zipped({f"a/{n}.png": GOOD for n in range(3)}))[1]
    assert "over 2 files" in problems[0].reason
