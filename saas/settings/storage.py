"""Files and folders."""

from saas.settings.environment import ROOT, VAR, path, value

STORAGE_DIR = path("STORAGE_DIR", VAR / "storage")  # tenants' sealed bytes
MODELS_DIR = path("MODELS_DIR", VAR / "models")  # catalogue bases, public and plain
SCRATCH_DIR = path("SCRATCH_DIR", VAR / "scratch")  # plaintext of running attempts only
STORAGES = {
    "default": {
        "BACKEND": value("STORAGE_BACKEND", "django.core.files.storage.FileSystemStorage"),
        "OPTIONS": {"location": str(STORAGE_DIR)} if not value("STORAGE_BACKEND") else {},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_URL = "/static/"
STATIC_ROOT = ROOT / "staticfiles"
WHITENOISE_USE_FINDERS = True
MAX_FILE_BYTES = int(value("MAX_FILE_BYTES", str(512 * 1024 * 1024)))
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
