"""Tokens' bytes against transformers' byte table and the texts that they came from."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.convert_slow_tokenizer import bytes_to_unicode

from workers.engine.data.tokens import Tokenizer
from workers.serving.gateway.spelling import byte_alphabet, token_bytes, token_name, token_text


def test_the_alphabet_is_gpt2s() -> None:
    assert byte_alphabet() == {char: byte for byte, char in bytes_to_unicode().items()}


def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(tiny: Path) -> None:
    tokenizer = Tokenizer.load(tiny)

    @settings(max_examples=200, deadline=None)
    @given(st.text(min_size=1, max_size=30))
    def check(text: str) -> None:
        pieces = [token_bytes(tokenizer, token) for token in tokenizer.encode(text)]
        assert b"".join(piece or b"" for piece in pieces) == text.encode()

    check()


def test_a_part_of_a_character_is_named_by_its_bytes(tiny: Path) -> None:
    tokenizer = Tokenizer.load(tiny)
    first, *_ = tokenizer.encode("汉")
    assert token_text(tokenizer, first) == "\ufffd"
    assert token_name(tokenizer, first).startswith("bytes:\\x")
    (plain,) = tokenizer.encode("a")
    assert token_name(tokenizer, plain) == "a"
