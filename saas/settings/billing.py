"""Statements, invoices and dunning: durations in days, and who issues the documents."""

from saas.settings.environment import flag, value

BILLING_EVERY_S = float(value("BILLING_EVERY_S", "300"))
STATEMENT_GRACE_DAYS = int(value("STATEMENT_GRACE_DAYS", "3"))  # late events still land
STATEMENT_APPROVAL = flag("STATEMENT_APPROVAL")  # an operator approves each statement
STATEMENT_LATE_MONTHS = int(value("STATEMENT_LATE_MONTHS", "12"))  # late usage is looked for
INVOICE_DUE_DAYS = int(value("INVOICE_DUE_DAYS", "14"))
INVOICE_PREFIX = value("INVOICE_PREFIX", "BW")
DUNNING_REMIND_DAYS = tuple(map(int, value("DUNNING_REMIND_DAYS", "1,7,14").split(",")))
DUNNING_SUSPEND_DAYS = int(value("DUNNING_SUSPEND_DAYS", "21"))  # after the due date
DUNNING_CLOSE_DAYS = int(value("DUNNING_CLOSE_DAYS", "60"))  # data is kept

# the issuer, as documents show it
COMPANY_NAME = value("COMPANY_NAME", "Breakwater")
COMPANY_ADDRESS = value("COMPANY_ADDRESS")  # lines parted by |
COMPANY_TAX_ID = value("COMPANY_TAX_ID")
COMPANY_EMAIL = value("COMPANY_EMAIL")
COMPANY_BANK = value("COMPANY_BANK")  # account for transfers, lines parted by |
