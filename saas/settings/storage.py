"""Files and folders."""

from saas.settings.environment import ROOT, VAR, path, value

STORAGE_DIR = path("STORAGE_DIR", VAR / "storage")  # tenants' sealed bytes
MODELS_DIR = path("MODELS_DIR", VAR / "models")  # catalogue bases, public and plain
MODEL_CACHE_DIR = path("BREAKWATER_MODEL_CACHE", MODELS_DIR)  # locally built bases; may be shared
SCRATCH_DIR = path("SCRATCH_DIR", VAR / "scratch")  # plaintext of running attempts only
STORAGES = {
    "default": {
        "BACKEND": value("STORAGE_BACKEND", "workers.assets.backends.DurableFileSystemStorage"),
        "OPTIONS": {"location": str(STORAGE_DIR)} if not value("STORAGE_BACKEND") else {},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_URL = "/static/"
STATIC_ROOT = ROOT / "staticfiles"
WHITENOISE_USE_FINDERS = True
MAX_FILE_BYTES = int(value("MAX_FILE_BYTES", str(512 * 1024 * 1024)))
MAX_TENANT_BYTES = int(value("MAX_TENANT_BYTES", str(100 * 1024**3)))  # all its live files
MAX_PART_BYTES = int(value("MAX_PART_BYTES", str(64 * 1024 * 1024)))
UPLOAD_EXPIRES_S = int(value("UPLOAD_EXPIRES_S", "3600"))
MODEL_RESTORE_S = int(value("MODEL_RESTORE_S", str(7 * 24 * 3600)))  # a deletion may be undone
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
READ_AT_ONCE_BYTES = int(value("READ_AT_ONCE_BYTES", str(8 * 1024 * 1024)))  # larger: by a worker
READ_LEASE_S = float(value("READ_LEASE_S", "60"))  # a reader's right to a dataset without a word
