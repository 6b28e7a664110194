"""Second opinions on tables and small images, which abstain when unsure."""
