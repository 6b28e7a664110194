"""Texts that belong together: Django's own translations, and made-up ones; a small encoder."""

from __future__ import annotations

import gettext
from pathlib import Path

import django
import numpy as np
import torch
from transformers import BertConfig, BertModel

from tests.workers.engine.factories import base_folder


def encoder_folder(folder: Path) -> Path:
    """A small BERT of random weights with a real tokenizer."""
    base_folder(folder)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=512,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=128,
        pad_token_id=1,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def catalogue(language: str, part: str = "conf") -> dict[str, str]:
    """English messages and their translations, those without plural."""
    path = Path(django.__file__).parent / part / f"locale/{language}/LC_MESSAGES/django.mo"
    with path.open("rb") as handle:
        entries = gettext.GNUTranslations(handle)._catalog  # type: ignore[attr-defined]
    return {key: text for key, text in entries.items() if key and isinstance(key, str)}


def translation_pairs(language: str) -> list[dict[str, str]]:
    """English messages without placeholders with their translation, in a fixed random order."""
    found = {}
    for path in sorted(Path(django.__file__).parent.glob("**/locale")):
        found |= catalogue(language, str(path.parent))
    rows = [
        {"anchor": key, "positive": text}
        for key, text in sorted(found.items())
        if 8 < len(key) < 80 and key != text and "\x04" not in key and text
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[i] for i in order]


def pairs(count: int = 24) -> list[dict[str, str]]:
    words = ("red", "green", "blue", "black")
    rows = []
    for n in range(count):
        row = {
            "anchor": f"{n} {words[n % 4]} " * (1 + n % 3),
            "positive": f"it is {n} {words[n % 4]}",
        }
        rows.append(row | ({"negative": f"it is {n + 100} dark"} if n % 2 else {}))
    return rows
