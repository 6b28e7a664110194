"""Statements: one tenant's month in one currency, rated and then frozen."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

from tenants.billing.states import StatementState
from tenants.kernel.tenancy import TenantModel


class ExactField(models.DecimalField):  # type: ignore[type-arg]  # no subscript at run time
    """An amount with the ledger's 12 decimals."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_digits": 38, "decimal_places": 12, **options})

    def deconstruct(self) -> Any:
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.DecimalField", arguments, options


class Statement(TenantModel):
    """What was rated for `period` (a month's first day).

    `facts` is the whole input of the rating at finalisation and `rated` its canonical JSON, to the
    byte; `sha256` is of `rated`. `charged` remembers, for this and every earlier period that it
    stated, what had been charged until then, so that the next statement finds what came late.
    """

    id = models.CharField(max_length=40, primary_key=True)
    period = models.DateField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=16, choices=StatementState, default=StatementState.OPEN)
    approval = models.BooleanField(default=False)  # an operator must approve before it is final
    approved_by = models.CharField(max_length=40, default="", blank=True)
    approved_at = models.DateTimeField(null=True)
    facts = models.JSONField(default=dict)
    rated = models.TextField(default="", blank=True)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    charged = models.JSONField(default=dict)
    residual_in = ExactField(default=0)
    residual_out = ExactField(default=0)
    transactions = models.JSONField(default=list)  # ledger transactions that finalising posted
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)  # when the period ended, or the tenant closed
    finalised_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "statement"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "period", "currency"], name="statement_once_a_period"
            ),
        )
        indexes = (
            models.Index(
                fields=["state", "period"],
                name="statement_unfinished",
                condition=~models.Q(state=StatementState.FINAL),
            ),
        )

    def __str__(self) -> str:
        return f"{self.period:%Y-%m} {self.currency} {self.state}"
