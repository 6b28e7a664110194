"""Writes of the marketplace: listings, services and their orders, statements and payouts."""
