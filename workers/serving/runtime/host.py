"""The border between a replica's process and its parent on the worker.

The replica has no database, no keys and no network but its own port on the loopback. Whatever it
needs of a tenant's it asks of its parent, which checks whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workers.engine.protocol import Command


class AdapterMissing(Exception):
    """That tenant has no such adapter of this base."""


@dataclass(frozen=True)
class ReplicaSettings:
    """What a replica is started with. `kind` is a task, or embedding."""

    kind: str
    folder: Path  # the model, in Hugging Face layout
    secret: str  # callers must show it
    max_sequences: int = 64
    adapter_bytes: int = 512 * 1024 * 1024  # of adapters kept loaded
    dtype: str = "float32"
    threads: int = 1
    device: str = "cpu"
    beats_from: int = 0  # an earlier attempt's last beat: what follows is no repetition


def request_of(settings: ReplicaSettings) -> dict[str, Any]:
    """The settings as the first frame to the child."""
    return {**vars(settings), "folder": str(settings.folder)}


def settings_of(request: Mapping[str, Any]) -> ReplicaSettings:
    """What `request_of` wrote."""
    return ReplicaSettings(**{**request, "folder": Path(request["folder"])})


class Host(Protocol):
    """The replica's parent. Calls may come from any thread, one at a time, and may block."""

    def ready(self, address: str) -> None:
        """The model is loaded and `address` ("127.0.0.1:41231") answers."""

    def beat(self, adapters: Sequence[str], active: int) -> Command:
        """Say what is loaded and how many sequences run. Anything but GO means: drain and leave."""

    def adapter(self, tenant_id: str, version_id: str) -> Path:
        """Return a folder with that tenant's adapter, opened; the replica deletes it after loading.

        Raises AdapterMissing.
        """
