"""The finders' facts from the tables, of the last four weeks. System scope."""

from __future__ import annotations

import datetime as dt

from tenants.kernel.clock import database_now
from workers.waste.facts import Facts
from workers.waste.reading.pools import pools_read
from workers.waste.reading.prices import gigabyte_month, prices_read
from workers.waste.reading.serving import targets_read, uses_by_model
from workers.waste.reading.stores import files_read, versions_read
from workers.waste.reading.window import Window
from workers.waste.reading.work import work_read

LOOKS_BACK = dt.timedelta(days=28)  # whole weeks: each weekday counts as often


def facts_read(*, at: dt.datetime | None = None) -> Facts:
    """What can be known at `at` (now, by the database's clock, where it is not given)."""
    until = at or database_now()
    window = Window(until - LOOKS_BACK, until)
    prices = prices_read(window)
    uses = uses_by_model(window)
    versions, version_spells = versions_read(window, uses)
    files, file_spells = files_read(window)
    return Facts(
        seconds=window.seconds,
        prices=prices,
        gigabyte_month=gigabyte_month(),
        targets=tuple(t for t in targets_read(window, uses) if t.resource in prices),
        pools=tuple(p for p in pools_read(window) if p.resource in prices),
        work=tuple(w for w in work_read(window) if w.resource in prices),
        versions=versions,
        files=files,
        version_spells=version_spells,
        file_spells=file_spells,
    )
