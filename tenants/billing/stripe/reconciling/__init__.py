"""Whether Stripe and our books agree: what was missed is healed, what differs is a finding."""
