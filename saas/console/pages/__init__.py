"""Pages of our own: what a list of rows cannot show."""
