"""Who: tenants, users, memberships, API keys, and the audit trail."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from tenants.accounts.roles import Role
from tenants.kernel.tenancy import TenantModel


class Tenant(models.Model):
    """An organisation: customer, partner or both. The platform itself is one."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"  # may read and pay, may not start work
        CLOSED = "closed"

    id = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=40, unique=True)  # appears in `ft:base:slug:suffix:id`
    is_partner = models.BooleanField(default=False)
    is_platform = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACTIVE)
    weight = models.PositiveIntegerField(default=1)  # share in fair scheduling
    max_running_jobs = models.PositiveIntegerField(default=4)
    shares_passes = models.BooleanField(
        default=False
    )  # its fine-tunes may be computed together with other tenants'
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "tenant"
        constraints = (
            models.UniqueConstraint(
                fields=["is_platform"], condition=models.Q(is_platform=True), name="one_platform"
            ),
        )

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in by e-mail. `is_staff` marks an operator of the platform."""

    id = models.CharField(max_length=40, primary_key=True)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, default="", blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(db_default=Now())

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "account_user"

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """What the web admins greet with; empty where no name was given."""
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        from tenants.kernel.ids import new_id

        self.id = self.id or new_id("user_")
        super().save(*args, **kwargs)


class Member(TenantModel):
    """A user in a tenant, in a role."""

    id = models.CharField(max_length=40, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "member"
        constraints = (
            models.UniqueConstraint(fields=["tenant", "user"], name="member_once_per_tenant"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"


class ApiKey(TenantModel):
    """A key `bw-<prefix>-<secret>`: shown once, kept as a hash, found by its prefix."""

    id = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16, unique=True)
    hash = models.CharField(
        max_length=64
    )  # sha256 of the whole key; its 256 random bits need no stretching
    role = models.CharField(max_length=16, choices=Role, default=Role.DEVELOPER)
    scopes = ArrayField(
        models.CharField(max_length=40), default=list
    )  # empty: all that the role may do
    allowed_ips = ArrayField(models.GenericIPAddressField(), default=list, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "api_key"
        indexes = (models.Index(fields=["tenant", "created_at"], name="api_key_tenant"),)

    def __str__(self) -> str:
        return f"bw-{self.prefix}-…"


class AuditEntry(TenantModel):
    """Who did what to what, and when; written with the change, never changed."""

    id = models.CharField(max_length=40, primary_key=True)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=40)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=120)
    data = models.JSONField(default=dict)
    trace_id = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "audit_entry"
        indexes = (models.Index(fields=["tenant", "-created_at"], name="audit_tenant"),)

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
