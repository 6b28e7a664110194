"""What an operator can do about a finding, each through the services that own what it changes.

`state` says what the action relies on, with its rows locked; where that is no longer what the
finding saw, the action is refused. `do` acts and returns what taking it back needs; `undo` leaves
alone what somebody has changed since. System scope.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from tenants.accounts.actors import Actor
from workers.waste.actions import serving, storing, suggesting, working

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Action:
    """`undo` takes back what `do` returned, for `undo_s` seconds; None where it cannot be."""

    state: Callable[[str, Arguments], Any]
    do: Callable[[Actor, str, Arguments], Mapping[str, Any]]
    undo: Callable[[Actor, Mapping[str, Any], Arguments], None] | None = None
    undo_s: float = settings.MODEL_RESTORE_S


ACTIONS = {
    "sleep": Action(serving.sleep_state, serving.sleep, serving.sleep_undo),
    "resize": Action(serving.size_state, serving.resize, serving.resize_undo),
    "drain": Action(working.workers_state, working.drain, working.drain_undo),
    "place": Action(working.queued_state, working.place, working.place_undo),
    "enlarge_passes": Action(working.queued_state, working.enlarge, working.enlarge_undo),
    "move_to_spot": Action(working.class_state, working.move_to_spot, working.drain_undo),
    "delete": Action(storing.versions_state, storing.delete, storing.delete_undo),
    "expire": Action(storing.files_state, storing.expire, storing.expire_undo),
    "suggest_sharing": Action(suggesting.sharing_state, suggesting.suggest_sharing),
    "propose_compression": Action(suggesting.target_state, suggesting.propose_compression),
}


def version_of(action: str, subject: str, arguments: Arguments) -> str:
    """Names the state that an action on this subject would meet now."""
    state = ACTIONS[action].state(subject, arguments)
    text = json.dumps(state, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
