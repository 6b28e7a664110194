"""Adapters on demand: asked of the parent once, kept while they fit, the longest unused leave."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from pathlib import Path

from workers.engine.inference.generate import TextModel
from workers.serving.runtime.host import Host

WEIGHTS = "adapter_model.safetensors"


def adapter_key(tenant_id: str, version_id: str) -> str:
    """An adapter is addressed by tenant and version: a version's id alone opens nothing."""
    return f"{tenant_id}/{version_id}"


class Adapters:
    """What is loaded beside the base. `limit` is in bytes of weights; one adapter always fits."""

    def __init__(self, model: TextModel, host: Host, *, limit: int) -> None:
        self._model, self._host, self._limit = model, host, limit
        self._sizes: OrderedDict[str, int] = OrderedDict()  # the longest unused first
        self._loading: dict[str, asyncio.Lock] = {}

    @property
    def versions(self) -> list[str]:
        return [key.split("/", 1)[1] for key in self._sizes]

    async def want(self, tenant_id: str, version_id: str) -> str:
        """Return the key of a loaded adapter, loading it first if need be.

        Raises AdapterMissing, or EngineError for one that does not fit this base.
        """
        key = adapter_key(tenant_id, version_id)
        async with self._loading.setdefault(key, asyncio.Lock()):
            try:
                if key not in self._sizes:
                    size = await asyncio.to_thread(self._load, key, tenant_id, version_id)
                    self._sizes[key] = size
            finally:
                self._loading.pop(key, None)
        self._sizes.move_to_end(key)
        self._make_room()
        return key

    def _load(self, key: str, tenant_id: str, version_id: str) -> int:
        folder = self._host.adapter(tenant_id, version_id)
        try:
            self._model.add_adapter(key, folder)
            return _size(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _make_room(self) -> None:
        """A generation under way keeps the adapter that it holds, also when it leaves here."""
        while len(self._sizes) > 1 and sum(self._sizes.values()) > self._limit:
            key, _ = self._sizes.popitem(last=False)
            self._model.remove_adapter(key)


def _size(folder: Path) -> int:
    return (folder / WEIGHTS).stat().st_size
