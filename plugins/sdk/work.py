"""What a running step holds: its settings, its files, and the way to tell how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from plugins.sdk.contracts import Handle
from plugins.sdk.errors import Cancelled


class Port(Protocol):
    """The platform's side of a step: files, progress, snapshots, the wish to stop."""

    def open(self, handle_id: str) -> IO[bytes]: ...
    def create(self, name: str) -> IO[bytes]: ...
    def progress(self, done: float) -> None: ...
    def snapshot(self, state: Mapping[str, Any]) -> None: ...
    def cancelled(self) -> bool: ...


class Work:
    """One call's work. `settings` are the tenant's, `inputs` the files that it granted.

    `state` is the last snapshot of an earlier attempt, or None at the first.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        inputs: Sequence[Handle],
        port: Port,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = dict(settings)
        self.inputs = tuple(inputs)
        self.state = None if state is None else dict(state)
        self._port = port

    def open(self, handle: Handle | str) -> IO[bytes]:
        """Open an input for reading. Raises HandleRefused for what this call was not given."""
        return self._port.open(handle if isinstance(handle, str) else handle.id)

    def create(self, name: str) -> IO[bytes]:
        """Open a new file of the result for writing; name it in `StepResult.files`."""
        return self._port.create(name)

    def beat(self, done: float) -> None:
        """Tell how far the step is (0 to 1). Raises Cancelled once the job is to stop."""
        self._port.progress(done)
        if self._port.cancelled():
            raise Cancelled("the job was asked to stop")

    def snapshot(self, state: Mapping[str, Any]) -> None:
        """Keep JSON data from which a later attempt resumes (`work.state`)."""
        self._port.snapshot(state)
