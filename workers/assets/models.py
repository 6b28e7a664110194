"""Files, uploads, datasets, base models, model versions."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel


class BaseModel(models.Model):
    """A catalogue model: public, plain, hash-verified, shared, read-only to tenants."""

    class Kind(models.TextChoices):
        TEXT_GENERATION = "text_generation"
        EMBEDDING = "embedding"
        TABULAR = "tabular"
        IMAGE = "image"
        AUDIO = "audio"

    id = models.CharField(max_length=80, primary_key=True)  # the name customers call it by
    kind = models.CharField(max_length=24, choices=Kind)
    family = models.CharField(max_length=40)  # transformers' model_type
    licence = models.CharField(max_length=80)
    description = models.CharField(max_length=200, default="", blank=True)
    parameters = models.BigIntegerField()
    bytes = models.BigIntegerField()
    context_length = models.PositiveIntegerField()
    path = models.CharField(max_length=400)  # a folder in Hugging Face layout
    sha256 = models.CharField(max_length=64)  # of the folder's manifest
    profile = models.JSONField(default=dict)  # measured throughput, for quotes and placement
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "base_model"

    def __str__(self) -> str:
        return self.id


class File(TenantModel):
    """An uploaded file.

    Its bytes lie sealed at `storage_key`; equal content of one tenant is stored once.
    """

    class Status(models.TextChoices):
        UPLOADED = "uploaded"
        PROCESSED = "processed"
        ERROR = "error"

    id = models.CharField(max_length=40, primary_key=True)
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=40)
    media_type = models.CharField(max_length=100)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    storage_key = models.CharField(max_length=200)
    made_by = models.CharField(max_length=40, default="", blank=True)  # the job, of what one made
    made_of = models.CharField(max_length=40, default="", blank=True)  # the file, where of one
    status = models.CharField(max_length=16, choices=Status, default=Status.UPLOADED)
    status_details = models.TextField(default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)  # its bytes are gone

    class Meta(TenantModel.Meta):
        db_table = "file"
        indexes = (
            models.Index(fields=["tenant", "-id"], name="file_list"),
            models.Index(fields=["tenant", "sha256"], name="file_content"),
            models.Index(
                fields=["deleted_at"],
                name="file_to_purge",
                condition=models.Q(deleted_at__isnull=False, purged_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.filename}"


class Upload(TenantModel):
    """A file that arrives in parts."""

    class Status(models.TextChoices):
        PENDING = "pending"
        COMPLETED = "completed"
        CANCELLED = "cancelled"
        EXPIRED = "expired"

    id = models.CharField(max_length=40, primary_key=True)
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=40)
    media_type = models.CharField(max_length=100)
    bytes = models.BigIntegerField()  # promised
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    file = models.ForeignKey(File, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "upload"
        indexes = (models.Index(fields=["tenant", "-id"], name="upload_list"),)

    def __str__(self) -> str:
        return self.id


class UploadPart(TenantModel):
    id = models.CharField(max_length=40, primary_key=True)
    upload = models.ForeignKey(Upload, on_delete=models.PROTECT, related_name="parts")
    bytes = models.BigIntegerField()
    storage_key = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "upload_part"
        indexes = (models.Index(fields=["tenant", "upload"], name="upload_part_list"),)

    def __str__(self) -> str:
        return self.id


class Dataset(TenantModel):
    """A validated, counted reading of a file, for one base model's tokenizer and template.

    A large file is read by a worker: `asked` is how, `read_bytes` how far it is, `read_until` how
    long the reader with the newest `read_token` may still be at it.
    """

    class Status(models.TextChoices):
        VALIDATING = "validating"
        VALID = "valid"
        INVALID = "invalid"

    id = models.CharField(max_length=40, primary_key=True)
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="datasets")
    base = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="+")
    task = models.CharField(max_length=32, default="text_generation")
    reading = models.CharField(max_length=600, default="", blank=True)  # read how, as JSON
    format = models.CharField(max_length=24)  # chat | completion | text | csv | parquet
    status = models.CharField(max_length=16, choices=Status)
    examples = models.PositiveIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    loss_tokens = models.BigIntegerField(default=0)
    longest = models.PositiveIntegerField(default=0)  # tokens of the longest example
    longest_line = models.PositiveIntegerField(default=0)  # where it stands in the file
    duplicates = models.PositiveIntegerField(default=0)
    template_sha256 = models.CharField(max_length=64, default="", blank=True)
    problems = models.JSONField(default=list)  # the first hundred: line, field, reason, fix
    problem_count = models.PositiveIntegerField(default=0)
    asked = models.JSONField(default=dict)
    read_bytes = models.BigIntegerField(default=0)
    read_token = models.PositiveIntegerField(default=0)
    read_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "dataset"
        indexes = (
            models.Index(fields=["tenant", "-id"], name="dataset_list"),
            models.Index(
                fields=["created_at"],
                name="dataset_to_read",
                condition=models.Q(status="validating"),
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "file", "base", "task", "reading"], name="dataset_once"
            ),
        )

    def __str__(self) -> str:
        return self.id


class ModelVersion(TenantModel):
    """A model that a tenant made: immutable, with its lineage.

    Its files lie sealed under `storage_key`.
    """

    class Kind(models.TextChoices):
        ADAPTER = "adapter"
        FULL = "full"
        MERGED = "merged"
        PRUNED = "pruned"
        QUANTISED = "quantised"

    id = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=160)  # ft:base:tenant:suffix:id
    kind = models.CharField(max_length=16, choices=Kind)
    base = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="versions")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    # The compressed version that an adapter was carried over to; none = its base's own weights.
    over = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="adapters")
    job_id = models.CharField(max_length=40, default="", blank=True)
    dataset = models.ForeignKey(Dataset, null=True, on_delete=models.PROTECT, related_name="+")
    is_checkpoint = models.BooleanField(default=False)  # an epoch's end, not the final result
    step = models.PositiveIntegerField(null=True)
    spec = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    licence = models.CharField(max_length=80)
    code_version = models.CharField(max_length=40)
    parameters = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)  # of the folder's manifest
    storage_key = models.CharField(max_length=200)  # one sealed tar of the folder
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)  # may be restored until
    purged_at = models.DateTimeField(null=True)  # its bytes are gone

    class Meta(TenantModel.Meta):
        db_table = "model_version"
        indexes = (models.Index(fields=["tenant", "-id"], name="model_version_list"),)
        constraints = (
            models.UniqueConstraint(fields=["tenant", "name"], name="model_version_name"),
        )

    def __str__(self) -> str:
        return self.name
