"""Languages and time."""

from saas.settings.environment import ROOT

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [ROOT / "saas" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
