"""Who and where the organisation is, as its invoices state it and its tax depends on it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.billing.models import TaxProfile
from tenants.billing.selectors.tax import tax_profile
from tenants.billing.services.tax import NewProfile, tax_profile_set

TAG = "invoices"
READ, WRITE = "billing.read", "billing.write"


class TaxProfileIn(serializers.Serializer[Any]):
    """What is not sent stays as it is."""

    legal_name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    address = serializers.CharField(required=False, allow_blank=True, max_length=600)
    country = serializers.CharField(
        required=False, allow_blank=True, max_length=2, help_text="ISO 3166-1, such as DE."
    )
    region = serializers.CharField(
        required=False, allow_blank=True, max_length=10, help_text="Such as CA, for California."
    )
    tax_id = serializers.CharField(required=False, allow_blank=True, max_length=40)
    language = serializers.ChoiceField(
        ["en", "zh-hans"], required=False, help_text="Of invoices and credit notes."
    )


class TaxProfileOut(serializers.Serializer[TaxProfile]):
    object = Constant("tax_profile")
    legal_name = serializers.CharField()
    address = serializers.CharField()
    country = serializers.CharField()
    region = serializers.CharField()
    tax_id = serializers.CharField()
    language = serializers.CharField()
    reverse_charge = serializers.BooleanField(help_text="Set by the platform.")
    tax_point = serializers.CharField(help_text="When tax arises. Set by the platform.")


class TaxProfileView(ApiView):
    @operation("Retrieve the tax profile", tag=TAG, needs=READ, answer=TaxProfileOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(TaxProfileOut(tax_profile(self.actor.tenant_id)).data)

    @operation(
        "Change the tax profile", tag=TAG, needs=WRITE, answer=TaxProfileOut, body=TaxProfileIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        profile = NewProfile(**self.body(TaxProfileIn))
        return Response(TaxProfileOut(tax_profile_set(actor=self.actor, profile=profile)).data)
