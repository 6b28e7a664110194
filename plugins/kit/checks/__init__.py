"""The checks that run the plugin, one group a module."""
