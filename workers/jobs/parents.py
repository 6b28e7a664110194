"""What a fine-tune starts from: a base that can learn, or a version that goes on as what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenants.kernel.errors import InvalidInput
from workers.assets.models import ModelVersion
from workers.assets.selectors import ResolvedModel
from workers.assets.weights import is_quantised

KEPT = ("lora", "tabular", "embeddings")  # settings that a version goes on with


def settings_kept(model: ResolvedModel, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the model decides; those of a base are all free.

    Raises:
        InvalidInput: it cannot learn, or others were asked for.
    """
    version = model.version
    if is_quantised(Path(model.base.path)) or (
        version is not None and version.kind == ModelVersion.Kind.QUANTISED
    ):
        raise InvalidInput(
            f"{model.name} is quantised, and its rounded weights cannot learn; fine-tune the model "
            "that it was made from, and compress the result",
            param="model",
            code="model_not_supported",
        )
    return {} if version is None else _continued(version, asked)


def _continued(version: ModelVersion, asked: Mapping[str, Any]) -> dict[str, Any]:
    """An adapter on a full version would belong to no base."""
    if version.over_id is not None:
        raise InvalidInput(
            f"{version.name} was carried over to a compressed model; fine-tune the adapter that it "
            "came from, and compress with that one again",
            param="model",
            code="model_not_supported",
        )
    kept = {
        "method": "lora" if version.kind == ModelVersion.Kind.ADAPTER else "full",
        **{name: version.spec[name] for name in KEPT if name in version.spec},
    }
    for name, value in kept.items():
        if asked.get(name, value) != value:
            raise InvalidInput(
                f"{version.name} was made with {name} = {value!r}, and goes on with it; leave "
                f"{name} out, or start from {version.base_id}",
                param=name,
            )
    return kept
