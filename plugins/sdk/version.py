"""The SDK's semantic version: additions raise the minor, removals the major and only after notice."""

from __future__ import annotations

SDK_VERSION = "1.0.0"
