"""What plugins are told of: queued in the event's own transaction, told after it.

A row is taken for a minute, so that another worker leaves it alone; it is told under the event's
key at least once, and more often only where this process ends in the middle.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Now

from plugins.sdk.codec import from_json, to_json
from plugins.sdk.hooks import hooks
from tenants.kernel.scope import system_scope
from tenants.partners.calls import hooks_call
from tenants.partners.models import Reaction
from tenants.partners.selectors import hearers

CALL_S = 5.0  # what one plugin may take
ROUND_S = 5.0  # of calls, before other short work has its turn
MOST_TRIES = 5
TAKEN = dt.timedelta(minutes=1)


def reaction_note(*, tenant_id: str, hook: str, key: str, args: Mapping[str, Any]) -> int:
    """Have a tenant's plugins told of an event, once its transaction commits (system scope).

    Returns how many there are to tell.
    """
    told = {name: to_json(value) for name, value in args.items()}
    plugins = list(hearers(hook).filter(tenant_id=tenant_id).values_list("plugin", flat=True))
    Reaction.objects.bulk_create(
        (
            Reaction(tenant_id=tenant_id, plugin=plugin, hook=hook, key=key, args=told)
            for plugin in plugins
        ),
        ignore_conflicts=True,
    )
    return len(plugins)


def reactions_call(*, round_s: float = ROUND_S) -> int:
    """Tell what is due, the oldest first; return how many were told. Outside of any scope.

    A failure is tried again after 2, 4, 8 and 16 minutes; the plugin's health has it each time.
    """
    until, count = time.monotonic() + round_s, 0
    while time.monotonic() < until and (row := _taken()) is not None:
        if row.tries <= MOST_TRIES:
            _tell(row)
            count += 1
        else:  # our process ended in the middle of each: it is not to end of it for ever
            with system_scope():
                Reaction.objects.filter(pk=row.pk).delete()
    return count


def _taken() -> Reaction | None:
    with system_scope():
        due = Reaction.objects.select_for_update(skip_locked=True).filter(due_at__lte=Now())
        row: Reaction | None = due.order_by("due_at", "id").first()
        if row is not None:
            row.tries += 1
            row.due_at = Now() + TAKEN
            row.save(update_fields=["tries", "due_at"])
        return row


def _tell(row: Reaction) -> None:
    kinds = hooks()[row.hook].arguments
    args = {name: from_json(kinds[name], value, name) for name, value in row.args.items()}
    outcomes = hooks_call(row.tenant_id, row.hook, args, plugin=row.plugin, timeout=CALL_S)
    failed = any(each.failure and each.failure.kind != "refused" for each in outcomes)
    with system_scope():
        rows = Reaction.objects.filter(pk=row.pk)
        if failed and row.tries < MOST_TRIES:
            rows.update(due_at=Now() + TAKEN * 2**row.tries)
        else:
            rows.delete()
