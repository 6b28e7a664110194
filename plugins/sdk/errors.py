"""What a plugin may raise on purpose, and what the SDK raises at it."""

from __future__ import annotations


class PluginError(Exception):
    """A failure that the plugin explains; its text is shown to the customer."""


class Cancelled(PluginError):
    """The job was asked to stop; raised by `Work.beat()`."""


class HandleRefused(PluginError):
    """A handle that this call was not given."""


class ContractError(PluginError):
    """A value that is not what its contract says; the text names the place."""


class ManifestError(PluginError):
    """A `plugin.toml` that cannot be used; the text names the key."""
