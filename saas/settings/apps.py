"""What is installed, and the order in which requests pass."""

from saas.settings.environment import ROOT

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tenants.kernel",
    "tenants.accounts",
    "tenants.partners",
    "tenants.usage",
    "tenants.ledger",
    "tenants.costs",
    "tenants.pricing",
    "tenants.billing",
    "tenants.billing.stripe",
    "tenants.marketplace",
    "tenants.market",
    "workers.assets",
    "workers.jobs",
    "workers.serving",
    "saas",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "saas.api.middleware.TraceMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "saas.api.guards.GuardMiddleware",
    "saas.scoping.ScopeMiddleware",
    "saas.api.limits.RateLimitMiddleware",
    "saas.api.idempotency.IdempotencyMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "saas" / "templates"],  # before unfold's and allauth's own
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "saas.urls"
ASGI_APPLICATION = "saas.asgi.application"
