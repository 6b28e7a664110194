"""Budgets: a month's limits for the organisation, one API key or one model."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from tenants.ledger.models import Budget

from saas.api.fields import Amount, Constant, UnixTime

TAG = "budgets"
READ, WRITE = "billing.read", "billing.write"


class BudgetOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("budget")
    subject = serializers.ChoiceField(Budget.Subject.values)
    ref = serializers.CharField(help_text="The API key's id or the model's name.")
    currency = serializers.CharField()
    soft = Amount(allow_null=True, help_text="Beyond it you are told, once a month.")
    hard = Amount(allow_null=True, help_text="Beyond it nothing that costs money is begun.")
    spent = Amount(source="spent_now", help_text="This UTC month, tax in it.")
    held = Amount(source="held_now", help_text="Set aside for running work.")
    created_at = UnixTime()
    archived_at = UnixTime(allow_null=True)


class LimitsIn(serializers.Serializer[Any]):
    soft = Amount(required=False, allow_null=True)
    hard = Amount(required=False, allow_null=True)


class BudgetIn(LimitsIn):
    subject = serializers.ChoiceField(Budget.Subject.values, required=False, default="tenant")
    ref = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)


def render(row: Any) -> dict[str, Any]:
    return BudgetOut(row).data
