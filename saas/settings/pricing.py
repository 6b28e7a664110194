"""What a new organisation is given, and how often prices are looked at."""

from saas.settings.environment import value

WELCOME_CREDIT = value("WELCOME_CREDIT", "5.00")  # USD, as a promotion; 0: none
WELCOME_CREDIT_DAYS = int(value("WELCOME_CREDIT_DAYS", "90"))

PRICES_EVERY_S = float(value("PRICES_EVERY_S", "300"))  # losses counted, dated prices begin and end
FLOORS_EVERY_S = float(value("FLOORS_EVERY_S", "86400"))  # all prices beside today's floors
