"""What the SDK promises, as data: names, contracts with their fields, hooks with their types.

`python -m tests.plugins.sdk.surface` prints it, to be kept under `surfaces/` when a minor version
is released.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import plugins.sdk
from plugins.sdk.hooks import hooks


def surface() -> dict[str, Any]:
    promised = {name: getattr(plugins.sdk, name) for name in plugins.sdk.__all__}
    contracts = {n: _fields(each) for n, each in promised.items() if dataclasses.is_dataclass(each)}
    errors = {
        n: [base.__name__ for base in each.__mro__]
        for n, each in promised.items()
        if isinstance(each, type) and issubclass(each, Exception)
    }
    return {
        "version": plugins.sdk.SDK_VERSION,
        "names": sorted(promised),
        "contracts": contracts,
        "errors": errors,
        "work": sorted(name for name in vars(plugins.sdk.Work) if not name.startswith("_")),
        "hooks": {hook.name: hook.signature for hook in hooks().values()},
    }


def _fields(contract: Any) -> list[list[Any]]:
    """Name, type as written, and whether it must be given: in order, as plugins pass them."""
    return [[field.name, field.type, _required(field)] for field in dataclasses.fields(contract)]


def _required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


if __name__ == "__main__":
    sys.stdout.write(json.dumps(surface(), indent=1) + "\n")
