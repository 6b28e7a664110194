"""One isolated child: started confined, called over its pipe, ended with everything it started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plugins.host.child.frames import Channel, ChannelClosed, FrameRefused
from plugins.host.cpu_time import tree_cpu_s
from plugins.host.errors import CallFailed
from plugins.host.facts import FailureKind, Level, Limits
from plugins.host.output import Drain
from plugins.host.runtime import Runtime
from plugins.host.userids import UserIds

_TICK_S = 0.02  # how soon a wish to stop is seen


@dataclass(frozen=True)
class Program:
    """What a child imports: `entry` as in its entry point, found on `path`."""

    plugin: str
    entry: str
    path: tuple[str, ...]
    readable: tuple[str, ...]


class Child:
    """Raises CallFailed from the constructor and from `call`, whatever the plugin sends."""

    def __init__(
        self, program: Program, runtime: Runtime, level: Level, limits: Limits, ids: UserIds
    ) -> None:
        self.level = level
        self._limits = limits
        self._ids = ids
        self._uid = ids.take()
        self._spent = self._counted = 0.0
        self._called = time.monotonic()
        self._home = Path(tempfile.mkdtemp(prefix="child-", dir=runtime.folder.parent))
        self.folder = self._home / "private"
        root = self._home / "root"
        self.folder.mkdir()
        root.mkdir()
        self._home.chmod(0o711)
        if os.getuid() == 0:
            os.chown(self.folder, self._uid, self._uid)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        readable = (*runtime.readable, *program.readable)
        with theirs:
            self._process = self._start(runtime, theirs, readable)
        self._drain = Drain(self._process, limits.output, self.kill)
        try:
            self.hooks = self._greeted(program, readable, root)
        except CallFailed:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(
        self,
        frame: Mapping[str, Any],
        files: Sequence[int] = (),
        *,
        timeout: float,
        cancel: threading.Event | None = None,
        told: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Any:
        """Return the answer's JSON value. Raises CallFailed; unless it `refused` or `raised`,
        the child is spent: close it."""
        self._counted, self._called = self.cpu_s(), time.monotonic()
        deadline = self._called + timeout
        try:
            self._channel.send(frame, files, timeout=timeout)
            while True:
                answer = self._receive(deadline, cancel, "the call")
                if "result" in answer:
                    return answer["result"]
                if "error" in answer:
                    raise _failure(answer)
                if told is not None:
                    told(answer)
        except ChannelClosed as error:
            if isinstance(error.__cause__, TimeoutError):
                raise CallFailed("timeout", f"it took no call: {error}") from error
            raise self._gone("the call") from error
        except FrameRefused as error:
            raise CallFailed("contract", str(error)) from error

    def cpu_s(self) -> float:
        """Processor time so far, by the kernel's count, never less than was counted before."""
        if self._process.returncode is None:
            self._spent = max(self._spent, tree_cpu_s(self.pid))
        return self._spent

    def alive(self) -> bool:
        return self._process.poll() is None and not self._drain.flooded

    def kill(self) -> None:
        """End the child and its process group, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self._process.wait()
        self._ids.give_back(self._uid)
        self._drain.close()
        self._channel.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(
        self, runtime: Runtime, theirs: socket.socket, readable: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        command = [str(runtime.python), "-I", "-S", "-B", str(runtime.launcher)]
        extra: dict[str, Any] = {}
        if self.level == "bubblewrap":
            command = [*_bubblewrap(readable, self.folder), *command]
            if os.getuid() == 0:
                extra = {"user": self._uid, "group": self._uid, "extra_groups": []}
        return subprocess.Popen(
            [*command, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
            env=dict(runtime.environment),
            cwd="/",
            start_new_session=True,
            **extra,
        )

    def _greeted(self, program: Program, readable: Sequence[str], root: Path) -> tuple[str, ...]:
        """Tell it what to import, and how to be confined; its hooks. Raises CallFailed."""
        settings = {
            "plugin": program.plugin,
            "entry": program.entry,
            "path": program.path,
            "readable": readable,
            "writable": [str(self.folder)],
            "folder": str(self.folder),
            "root": str(root),
            "level": self.level,
            "uid": self._uid,
            "limits": asdict(self._limits),
        }
        limit = self._limits.start_s
        try:
            self._channel.send(settings, timeout=limit)
            answer = self._receive(time.monotonic() + limit, None, "its start")
        except ChannelClosed as error:
            raise CallFailed("crashed", f"its process ended at start: {error}") from error
        except FrameRefused as error:
            raise CallFailed("contract", f"at its start: {error}") from error
        for key in ("unconfined", "refused"):
            if key in answer:
                raise CallFailed("unavailable", str(answer[key]))
        hello = answer.get("hello")
        if not isinstance(hello, list):
            raise CallFailed("contract", f"at its start it said {str(answer)[:60]}")
        return tuple(map(str, hello))

    def _receive(
        self, deadline: float, cancel: threading.Event | None, doing: str
    ) -> dict[str, Any]:
        told_to_stop = False
        while (left := deadline - time.monotonic()) > 0:
            if cancel is not None and cancel.is_set() and not told_to_stop:
                told_to_stop = True
                deadline = min(deadline, time.monotonic() + self._limits.cancel_s)
                with contextlib.suppress(ChannelClosed):
                    self._channel.send({"cancel": True}, timeout=self._limits.cancel_s)
            try:
                answer = self._channel.receive(left if cancel is None else min(left, _TICK_S))
            except ChannelClosed as error:
                raise self._gone(doing) from error
            if answer is not None:
                return answer
        if told_to_stop:
            raise CallFailed("cancelled", "it did not stop when asked to, and was ended")
        raise CallFailed("timeout", f"{doing} took longer than allowed, and it was ended")

    def _gone(self, doing: str) -> CallFailed:
        self.kill()
        with contextlib.suppress(ChildProcessError):  # waited for already
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.cpu_s()  # while the kernel still knows it
        if self.level == "bubblewrap":  # whose outer process does not wait for what it started
            self._spent = max(self._spent, self._counted + time.monotonic() - self._called)
        code = self._process.wait()
        if self._drain.flooded:
            return CallFailed("flood", f"it wrote more than {self._limits.output:,} bytes")
        return CallFailed("crashed", f"its process ended during {doing}, exit code {code}")


def _failure(answer: Mapping[str, Any]) -> CallFailed:
    known: tuple[FailureKind, ...] = ("cancelled", "refused", "memory", "raised", "flood")
    kind: FailureKind = next((each for each in known if each == answer["error"]), "contract")
    return CallFailed(kind, str(answer.get("message", "")))


def _bubblewrap(readable: Sequence[str], folder: Path) -> list[str]:
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--dev", "/dev"]
    command += ["--as-pid-1"]  # no second process of bwrap's own between us and the child
    for path in readable:
        if not path.startswith("/dev/"):
            command += ["--ro-bind-try", path, path]
    return [*command, "--bind", str(folder), str(folder), "--"]
