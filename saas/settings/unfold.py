"""How the two web admins look (django-unfold). What stands in their menus is beside their sites."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static


def _style(request: HttpRequest) -> str:
    del request
    return static("saas/admin.css")


def _script(request: HttpRequest) -> str:
    del request
    return static("saas/charts.js")


def _icon(request: HttpRequest) -> str:
    del request
    return static("saas/icon.svg")


_SEA = {
    "50": "oklch(97.5% .013 236)",
    "100": "oklch(95.1% .026 236)",
    "200": "oklch(90.1% .058 231)",
    "300": "oklch(82.8% .111 230)",
    "400": "oklch(74.6% .16 233)",
    "500": "oklch(66% .16 238)",
    "600": "oklch(55% .15 242)",
    "700": "oklch(48% .13 243)",
    "800": "oklch(42% .11 241)",
    "900": "oklch(37% .09 241)",
    "950": "oklch(28% .07 243)",
}

_COMMON: dict[str, Any] = {
    "SITE_TITLE": "Breakwater",
    "SITE_HEADER": "Breakwater",
    "SITE_SYMBOL": "waves",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "BORDER_RADIUS": "8px",
    "COLORS": {"primary": _SEA},
    "STYLES": [_style],
    "SCRIPTS": [_script],
}

UNFOLD = _COMMON
UNFOLD_CONSOLE = {
    **_COMMON,
    "SITE_SUBHEADER": "saas.console.navigation.organisation",
    "SITE_DROPDOWN": "saas.console.navigation.organisations",
    "SIDEBAR": {"navigation": "saas.console.navigation.menu"},
    "ACCOUNT": {"navigation": "saas.console.navigation.account_links"},
}
UNFOLD_OPERATIONS = {
    **_COMMON,
    "SITE_SUBHEADER": "saas.operations.navigation.subheader",
    "SITE_SYMBOL": "sailing",
    "SIDEBAR": {"navigation": "saas.operations.navigation.menu"},
    "ACCOUNT": {"navigation": "saas.console.navigation.account_links"},
}
