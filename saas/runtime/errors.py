"""What stops a start."""

from __future__ import annotations


class RuntimeFailure(Exception):
    """The system cannot start or stop as asked; the message says what is wrong and what to do."""
