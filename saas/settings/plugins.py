"""Partners' plugins."""

from saas.settings.environment import flag

# Run partners' plugins where no level of isolation holds (docs/plugins.md): at your own risk.
PLUGINS_ACCEPT_RISK = flag("PLUGINS_ACCEPT_RISK")
