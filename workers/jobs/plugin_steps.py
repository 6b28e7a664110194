"""Hooks that run as a pipeline of one step: a dataset read or prepared, a method.

Each is asked for by a name where a declared pipeline's stands: `prepare_dataset`, `read_dataset`,
`training/NAME`, `compression/NAME`, `evaluation/NAME`. So it is quoted, metered, charged, shared,
paused and cancelled as a pipeline is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.partners.models import Installation, Release
from tenants.partners.selectors import installations_visible, release_has
from workers.assets.models import File
from workers.assets.selectors import model_resolve
from workers.jobs.plugin_hooks import MAKES_DATASET

MODELS = "data.models"
PREPARE, READ, METHOD = "prepare_dataset", "read_dataset", "run_method"
METHODS: Mapping[str, tuple[str, str]] = {  # kind → the hook that declares, the step's kind
    "training": ("training_methods", "train"),
    "compression": ("compression_methods", "compress"),
    "evaluation": ("evaluations", "evaluate"),
}
DATASET_LIMIT_S, METHOD_LIMIT_S = 600.0, 3600.0


def steps_named(release: Release, files: Sequence[File]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a release can do beside its declared pipelines: each name with its one step."""
    if release_has(release, PREPARE):
        yield PREPARE, _step("prepare", "prepare", PREPARE, {}, DATASET_LIMIT_S)
    if files and (reader := reader_of(release, files[0].filename)) is not None:
        yield READ, _step("read", "prepare", READ, {"reader": reader}, DATASET_LIMIT_S)
    for kind, (declares, step_kind) in METHODS.items():
        for method in release.offers.get(declares, ()):
            args = {"kind": kind, "method": method["name"]}
            step = _step(method["name"], step_kind, METHOD, args, METHOD_LIMIT_S)
            yield f"{kind}/{method['name']}", {**step, "queue": method["queue"]}


def files_check(step: Mapping[str, Any], files: Sequence[File]) -> None:
    """Raises InvalidInput where a hook that takes one file is given another number of them."""
    if step.get("hook") in MAKES_DATASET and len(files) != 1:
        raise InvalidInput(f"{step['hook']} takes one file, not {len(files)}", param="files")


def model_of(
    installation: Installation, step: Mapping[str, Any], name: str | None
) -> dict[str, str | None]:
    """What a spec says of the model that a method is handed.

    Raises InvalidInput where another hook is given one, or the tenant did not grant it; NotFound.
    """
    if not name:
        return {}
    if step.get("hook") != METHOD:
        raise InvalidInput("only methods and evaluations are handed a model", param="model")
    if MODELS not in installation.permissions:
        raise InvalidInput(
            f"{installation.plugin} may not see models: it does not ask for {MODELS}",
            param="model",
            code="permission_missing",
        )
    model = model_resolve(str(name))
    version_id = model.version.id if model.version else None
    return {"model": model.name, "base_id": model.base.id, "version_id": version_id}


def reader_of(release: Release, filename: str) -> str | None:
    """The reader that a release declares for a file's suffix, the longest first."""
    known = [
        (suffix.lower(), reader["name"])
        for reader in release.offers.get("dataset_readers", ())
        for suffix in reader["suffixes"]
    ]
    fitting = [each for each in known if filename.lower().endswith(each[0])]
    return max(fitting, key=lambda each: len(each[0]))[1] if fitting else None


def plugin_reading(tenant_id: str, filename: str) -> str:
    """The enabled plugin that reads a file. Raises InvalidInput where there is none, or several."""
    rows = installations_visible().filter(tenant_id=tenant_id, release__suspended_at__isnull=True)
    enabled: list[Installation] = list(rows.order_by("plugin"))
    found = [row.plugin for row in enabled if reader_of(row.release, filename) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"{', '.join(found)} read files like {filename!r}; name one as plugin", param="plugin"
        )
    suffixes = sorted(
        suffix
        for row in enabled
        for reader in row.release.offers.get("dataset_readers", ())
        for suffix in reader["suffixes"]
    )
    raise InvalidInput(
        f"no plugin that you enabled reads files like {filename!r}; they read "
        f"{', '.join(suffixes) or 'none'}",
        param="file",
        code="no_reader",
    )


def _step(name: str, kind: str, hook: str, args: dict[str, str], limit_s: float) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "queue": "cpu",
        "time_limit_s": limit_s,
        "engine": "",
        "hook": hook,
        "args": args,
    }
