"""Stripe: its key, and how its webhooks are known. Without a key Stripe is off."""

from saas.settings.environment import flag, is_given, value

STRIPE_SECRET_KEY = value("STRIPE_SECRET_KEY")
STRIPE_ALLOW_LIVE = flag("STRIPE_ALLOW_LIVE")  # production only: a live key moves real money
STRIPE_WEBHOOK_SECRET = value("STRIPE_WEBHOOK_SECRET")  # several by comma, while one is replaced
# Another server than Stripe's own, for tests and demos; never with a key from elsewhere.
_IS_ITS_KEY = is_given("STRIPE_API_BASE") or not is_given("STRIPE_SECRET_KEY")
STRIPE_API_BASE = value("STRIPE_API_BASE") if _IS_ITS_KEY else ""
STRIPE_SEND_EVERY_S = float(value("STRIPE_SEND_EVERY_S", "15"))  # what waits, or was put off
STRIPE_RECONCILE_EVERY_S = float(value("STRIPE_RECONCILE_EVERY_S", "86400"))
