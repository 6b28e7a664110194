"""What this system calls by itself: the operator's webhook for alerts on rivals' moves."""

from saas.settings.environment import flag, value

ALERT_WEBHOOK_URL = value("ALERT_WEBHOOK_URL")  # empty: none is sent
ALERT_WEBHOOK_SECRET = value("ALERT_WEBHOOK_SECRET")  # whsec_…, as Standard Webhooks has it
# For tests and for a receiver in one's own network: http, and addresses that are not public.
ALERT_WEBHOOK_PRIVATE = flag("ALERT_WEBHOOK_PRIVATE")
WEBHOOKS_EVERY_S = float(value("WEBHOOKS_EVERY_S", "15"))  # what waits, or was put off
