"""`manage.py doctor`: what is configured, reachable and enforced, and what to do elsewhere."""
