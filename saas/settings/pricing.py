"""What a new organisation is given."""

from saas.settings.environment import value

WELCOME_CREDIT = value("WELCOME_CREDIT", "5.00")  # USD, as a promotion; 0: none
WELCOME_CREDIT_DAYS = int(value("WELCOME_CREDIT_DAYS", "90"))
