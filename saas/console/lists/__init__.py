"""One file a kind of row: its list, its detail, its acts."""
