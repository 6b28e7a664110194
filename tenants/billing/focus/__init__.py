"""Charges in FOCUS 1.2, the FinOps Open Cost and Usage Specification. https://focus.finops.org"""
