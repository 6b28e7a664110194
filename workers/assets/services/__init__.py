"""Changes to files, uploads, datasets, base models and model versions: one module each."""

from workers.assets.services.base_models import (
    base_model_measure,
    base_model_measure_next,
    base_model_register,
    base_model_verify,
)
from workers.assets.services.datasets import dataset_require_valid, dataset_validate
from workers.assets.services.files import (
    file_create,
    file_delete,
    file_expiry_set,
    file_keep,
)
from workers.assets.services.uploads import (
    upload_cancel,
    upload_complete,
    upload_create,
    upload_part_add,
)
from workers.assets.services.versions import (
    model_version_create,
    model_version_delete,
    model_version_restore,
    version_seal,
)

__all__ = [
    "base_model_measure",
    "base_model_measure_next",
    "base_model_register",
    "base_model_verify",
    "dataset_require_valid",
    "dataset_validate",
    "file_create",
    "file_delete",
    "file_expiry_set",
    "file_keep",
    "model_version_create",
    "model_version_delete",
    "model_version_restore",
    "upload_cancel",
    "upload_complete",
    "upload_create",
    "upload_part_add",
    "version_seal",
]
