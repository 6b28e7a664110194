"""How Stripe is called in our books: a provider's name, and the ref of its accounts."""

STRIPE = "stripe"
# a list leaves out those that ended, unless all are asked for
ALL_SUBSCRIPTIONS = {"status": "all"}
    "status": "all"
}  # a list leaves out those that ended unless they are asked for
