"""What a folder's headers say of its layers, against the model itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.engine.factories import FAMILIES
from workers.engine.methods.lora.adapter import layers_sizes
from workers.engine.methods.lora.fits import sizes_stored
from workers.engine.models import model_load


@pytest.mark.parametrize("family", FAMILIES)
def test_headers_tell_the_layers_that_the_model_adapts(bases: dict[str, Path], family: str) -> None:
    """GPT-2 stores its matrices the other way around."""
    stored, loaded = sizes_stored(bases[family]), layers_sizes(model_load(bases[family]))
    assert set(stored) == set(loaded)
    assert len(loaded) >= 8
    for name, sizes in loaded.items():
        assert sorted(stored[name]) == sorted(sizes), name
