"""One file a kind of row: its list and its detail, across tenants."""
