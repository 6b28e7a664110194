"""How Stripe is called in our books: a provider's name, and the ref of its accounts."""

STRIPE = "stripe"
