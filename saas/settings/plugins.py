"""Partners' plugins."""

from saas.settings.environment import flag, value

# Run partners' plugins where no level of isolation holds (docs/plugins.md): at your own risk.
PLUGINS_ACCEPT_RISK = flag("PLUGINS_ACCEPT_RISK")

# How long the conformance kit may take on one wheel under review, in seconds.
PLUGINS_CHECK_LIMIT_S = float(value("PLUGINS_CHECK_LIMIT_S", "900"))
