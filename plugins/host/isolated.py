"""Partners' plugins: each call in a warm child of its (plugin, version, tenant)."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plugins.host.catalog import Plugin
from plugins.host.child.port import file_name_good
from plugins.host.errors import CallFailed, SandboxUnavailable
from plugins.host.facts import Level
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.process import Child, Program
from plugins.host.sandbox import Sandbox
from plugins.sdk.codec import from_json, to_json
from plugins.sdk.contracts import StepResult
from plugins.sdk.errors import ContractError
from plugins.sdk.hooks import hooks


class Isolated:
    """`lent` is a folder of links to the libraries that the platform lends, or None."""

    def __init__(self, sandbox: Sandbox, pool: Pool, lent: Path | None = None) -> None:
        self._sandbox = sandbox
        self._pool = pool
        self._lent = lent
        self._hooks: dict[tuple[str, str], frozenset[str]] = {}

    def implements(self, plugin: Plugin, hook: str, tenant: str) -> bool:
        """Raises CallFailed where it cannot be started to be asked."""
        known = self._hooks.get((plugin.name, plugin.version))
        if known is None:
            with _ours(), self._child(plugin, tenant) as child:
                known = frozenset(child.hooks)
            self._hooks[plugin.name, plugin.version] = known
        return hook in known

    def call(
        self,
        plugin: Plugin,
        hook: str,
        args: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        tenant: str,
        order: WorkOrder | None,
        timeout: float | None,
        measured: Callable[[float], None],
    ) -> tuple[Any, Level]:
        """Return the checked answer. `measured` hears the CPU seconds used. Raises CallFailed."""
        limits = self._sandbox.limits
        with _ours(), self._child(plugin, tenant) as child, ExitStack() as stack:
            frame: dict[str, Any] = {"hook": hook, "args": to_json(args)}
            files: list[int] = []
            folder = child.folder
            if order is not None:
                folder = Path(tempfile.mkdtemp(prefix="call-", dir=child.folder))
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                frame["work"] = _work(order, settings, folder)
                files = [_opened(path, stack) for path in order.inputs.values()]
                if os.getuid() == 0:
                    owner = child.folder.stat()
                    os.chown(folder, owner.st_uid, owner.st_gid)
            before = child.cpu_s()
            try:
                answer = child.call(
                    frame,
                    files,
                    timeout=timeout or limits.call_s,
                    cancel=order.cancel if order else None,
                    told=None if order is None else lambda told: _tell(order, told),
                )
            finally:
                measured(max(child.cpu_s() - before, 0.0))
            try:
                value = from_json(hooks()[hook].returns, answer, hook)
            except ContractError as error:
                raise CallFailed("contract", str(error)) from error
            if order is not None and isinstance(value, StepResult):
                _collect(value, folder, order.results, limits.folder)
            return value, child.level

    def _child(self, plugin: Plugin, tenant: str) -> Any:
        key = (plugin.name, plugin.version, tenant)
        limits = self._sandbox.limits
        return self._pool.child(key, lambda: self._start(plugin), limits.cpu_s - limits.call_s)

    def _start(self, plugin: Plugin) -> Child:
        if plugin.site is None:
            raise CallFailed("unavailable", "it has no environment of its own")
        path, readable = [str(plugin.site)], [str(plugin.site)]
        if self._lent is not None:
            path.append(str(self._lent))
            readable.append(str(self._lent))
            readable += [str(link.resolve()) for link in self._lent.iterdir()]
        program = Program(plugin.name, plugin.entry, tuple(path), tuple(readable))
        try:
            return self._sandbox.start(program)
        except SandboxUnavailable as error:
            raise CallFailed("unavailable", str(error)) from error


@contextmanager
def _ours() -> Iterator[None]:
    """A full disk, or no process to be had, is our failure, and an outcome like any other."""
    try:
        yield
    except OSError as error:
        raise CallFailed("unavailable", f"the platform could not run it: {error}") from error


def _work(order: WorkOrder, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "settings": dict(settings),
        "inputs": [asdict(handle) for handle in order.handles()],
        "state": order.state,
        "folder": str(folder),
    }


def _opened(path: Path, stack: ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _tell(order: WorkOrder, told: Mapping[str, Any]) -> None:
    """What a child says meanwhile; what is no progress and no snapshot is not heard."""
    done, state = told.get("progress"), told.get("snapshot")
    if isinstance(done, int | float) and 0 <= done <= 1:
        order.progress(float(done))
    if isinstance(state, dict):
        order.snapshot(state)


def _collect(result: StepResult, folder: Path, results: Path, most: int) -> None:
    """Copy the files that a step names: plain files of its folder, opened without a link."""
    total = 0
    for name in result.files:
        if not file_name_good(name):
            raise CallFailed("contract", f"files: {name!r} is no plain file's name")
        try:
            fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise CallFailed("contract", f"files: {name!r} was not created") from error
        with os.fdopen(fd, "rb") as source:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
                raise CallFailed("contract", f"files: {name!r} is no plain file")
            total += facts.st_size
            if total > most:
                raise CallFailed("flood", f"its files are larger than {most:,} bytes")
            with (results / name).open("xb") as target:
                shutil.copyfileobj(source, target)
