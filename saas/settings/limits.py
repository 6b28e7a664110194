"""What a tenant may ask for, and how large a request may be."""

from saas.settings.environment import value

RATE_LIMIT_REQUESTS = int(value("RATE_LIMIT_REQUESTS", "3000"))  # per minute and tenant
RATE_LIMIT_TOKENS = int(value("RATE_LIMIT_TOKENS", "2000000"))  # per minute and tenant
RATE_LIMIT_SIGN_UPS = int(value("RATE_LIMIT_SIGN_UPS", "20"))  # per hour and address
MAX_JSON_BYTES = int(value("MAX_JSON_BYTES", str(8 * 1024 * 1024)))  # a body that is no upload
