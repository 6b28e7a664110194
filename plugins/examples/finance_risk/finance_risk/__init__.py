"""Expenditure and default risk from a table, with calibrated probabilities."""
