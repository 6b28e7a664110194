"""The two pluggy markers: one for a plugin's hooks, one for their specifications."""

from __future__ import annotations

import pluggy

PROJECT = "breakwater"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
