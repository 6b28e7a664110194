"""What stops the host itself, as opposed to a failure of one plugin, which is an outcome."""

from __future__ import annotations

from plugins.host.facts import Failure, FailureKind


class HostError(Exception):
    """The platform asked for something that cannot be."""


class WheelRefused(HostError):
    """A file that is not installed; the text says why."""


class SandboxUnavailable(HostError):
    """No level of isolation holds here."""


class CallFailed(Exception):
    """One plugin's failure on its way to its outcome."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(kind, _kept(message))


def _kept(message: str) -> str:
    """A stranger's words as a database can keep them: no NUL, no half of a surrogate pair."""
    return message[:2000].encode("utf-8", "replace").decode().replace("\0", "?")
