"""For a partner's hands: a new package from a template, and the conformance kit that judges it."""
