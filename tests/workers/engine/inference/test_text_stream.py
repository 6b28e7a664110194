"""Streamed text: whole characters, the same text as decoding at once, and no stop text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from workers.engine.data.tokens import Tokenizer
from workers.engine.inference.text_stream import Detokeniser, StopScanner


def sentencepiece_like() -> Tokenizer:
    """Bytes as `<0x41>` and a space mark, decoded as Llama 2's tokenizer is."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"▁a": 256, "▁": 257, "b": 258}
    core = tokenizers.Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return Tokenizer(core, eos_ids=())


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = Detokeniser(tokenizer)
    return [*(stream.feed(token) for token in ids), stream.rest()]


@given(text=st.text(max_size=40))
def test_any_text_comes_back_in_whole_characters(bases: dict[str, Path], text: str) -> None:
    tokenizer = Tokenizer.load(bases["llama"])
    ids = tokenizer.encode(text)
    pieces = streamed(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@given(ids=st.lists(st.integers(5, 511), max_size=30))
def test_any_tokens_even_broken_bytes_stream_as_they_decode(
    bases: dict[str, Path], ids: list[int]
) -> None:
    tokenizer = Tokenizer.load(bases["llama"])
    pieces = streamed(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    "".join(pieces).encode("utf-8")


@given(text=st.text(min_size=1, max_size=12))
def test_byte_fallback_tokens_stream_in_whole_characters(text: str) -> None:
    tokenizer = sentencepiece_like()
    ids = [256, *text.encode("utf-8"), 256]
    pieces = streamed(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    assert "".join(pieces) == f"a{text} a"


def test_a_character_of_four_tokens_comes_with_its_last() -> None:
    tokenizer = sentencepiece_like()
    assert streamed(tokenizer, [256, *"🎉".encode()]) == ["a", "", "", "", "🎉", ""]


@given(
    text=st.text(alphabet="ab", max_size=30),
    stops=st.lists(st.text(alphabet="ab", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_a_stop_text_is_found_wherever_the_pieces_are_cut(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    scanner, shown, stopped = StopScanner(stops), "", False
    edges = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    for start, end in pairwise(edges):
        piece, stopped = scanner.feed(text[start:end])
        shown += piece
        if stopped:
            break
    # the text up to whatever stop text is complete first
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    assert stopped == bool(ends)
    if not stopped:
        assert shown + scanner.rest() == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)
        assert any(text[len(shown) :].startswith(stop) for stop in stops)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [(["ab", "c"], ["ab", "c"]), (["a<", "/", "x"], ["a", "", "</x"]), (["<", "/s>b"], ["", ""])],
)
def test_only_what_may_become_a_stop_text_is_held_back(pieces: list[str], shown: list[str]) -> None:
    scanner = StopScanner(["</s>"])
    assert [scanner.feed(piece)[0] for piece in pieces] == shown
