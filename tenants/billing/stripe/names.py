"""How Stripe is called in our books, and what is said to it in more than one place."""

STRIPE = "stripe"  # a provider's name, and the ref of its accounts
# a list leaves out those that ended, unless all are asked for
ALL_SUBSCRIPTIONS = {"status": "all"}
