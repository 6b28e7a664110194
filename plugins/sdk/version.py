"""The semantic version: additions raise the minor, removals the major, after notice."""

from __future__ import annotations

SDK_VERSION = "1.1.0"
