"""Answer the host's calls one by one; a thread beside listens for "cancel" and for its end."""

from __future__ import annotations

import importlib
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy

from plugins.host.child.frames import Channel, ChannelClosed, FrameRefused
from plugins.host.child.port import ChildPort
from plugins.sdk import hookspecs
from plugins.sdk.codec import from_json, to_json
from plugins.sdk.contracts import Handle
from plugins.sdk.errors import Cancelled, PluginError
from plugins.sdk.hooks import hooks
from plugins.sdk.markers import PROJECT
from plugins.sdk.work import Work

LONGEST_MESSAGE = 2000


def load(entry: str, name: str) -> pluggy.PluginManager:
    """Import the plugin. Raises what its import raises, and PluginValidationError."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    module, _, attribute = entry.partition(":")
    plugin = importlib.import_module(module)
    manager.register(getattr(plugin, attribute) if attribute else plugin, name)
    manager.check_pending()
    return manager


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    calls: queue.SimpleQueue[tuple[dict[str, Any], ChildPort]] = queue.SimpleQueue()
    # before the import: one that hangs ends with the host, too
    threading.Thread(target=_listen, args=(channel, calls), daemon=True).start()
    try:
        manager = load(settings["entry"], settings["plugin"])
    except BaseException as error:  # noqa: BLE001 - whatever foreign code does, the host is told
        channel.send({"refused": _text(error)})
        return
    implemented = [name for name in hooks() if getattr(manager.hook, name).get_hookimpls()]
    channel.send({"hello": implemented})
    while True:
        frame, port = calls.get()
        answer = _answer(manager, frame, port)
        try:
            channel.send(answer)
        except FrameRefused as error:
            channel.send({"error": "flood", "message": str(error)})


def _listen(channel: Channel, calls: queue.SimpleQueue[tuple[dict[str, Any], ChildPort]]) -> None:
    port: ChildPort | None = None
    try:
        while True:
            frame = channel.receive()
            if frame is None:
                continue
            if "cancel" in frame:
                if port is not None:
                    port.stop.set()
                continue
            work = frame.get("work") or {"inputs": [], "folder": "."}
            ids = [item["id"] for item in work["inputs"]]
            files = dict(zip(ids, channel.files[: len(ids)], strict=True))
            del channel.files[: len(ids)]
            port = ChildPort(files, Path(work["folder"]), channel.send)
            calls.put((frame, port))
    except (ChannelClosed, FrameRefused):
        os._exit(0)  # the host is gone: so is the work


def _answer(
    manager: pluggy.PluginManager, frame: Mapping[str, Any], port: ChildPort
) -> dict[str, Any]:
    try:
        value = to_json(_call(manager, frame, port))
    except Cancelled as error:
        return {"error": "cancelled", "message": _text(error)}
    except PluginError as error:
        return {"error": "refused", "message": str(error)[:LONGEST_MESSAGE]}
    except MemoryError as error:
        return {"error": "memory", "message": _text(error)}
    except BaseException as error:  # noqa: BLE001 - SystemExit too: the host decides who lives
        return {"error": "raised", "message": _text(error)}
    finally:
        for fd in port._files.values():  # noqa: SLF001 - its maker closes them
            os.close(fd)
    return {"result": value}


def _call(manager: pluggy.PluginManager, frame: Mapping[str, Any], port: ChildPort) -> Any:
    hook = hooks()[frame["hook"]]
    given: dict[str, Any] = {}
    for name, kind in hook.arguments.items():
        if kind is Work:
            work = frame["work"]
            inputs = from_json(tuple[Handle, ...], work["inputs"])
            given[name] = Work(work["settings"], inputs, port, work["state"])
        else:
            given[name] = from_json(kind, frame["args"][name], name)
    (implementation,) = getattr(manager.hook, hook.name).get_hookimpls()
    return implementation.function(*(given[name] for name in implementation.argnames))


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
