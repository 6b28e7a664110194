"""Price books for staff: drafted in versions, published past the guard, overridden."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, Currency, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.ledger.chart import RevenueLine
from tenants.pricing.models import PriceBook, PriceBookVersion, PriceOverride
from tenants.pricing.selectors import (
    price_book_get,
    price_books,
    price_version_get,
    price_versions,
    version_rows,
)
from tenants.pricing.selectors.guarding import ANY_METER
from tenants.pricing.services.books import (
    NewPrice,
    price_book_create,
    price_version_draft,
    price_version_publish,
)
from tenants.pricing.services.floors import price_override_grant
from tenants.usage.meters import METERS

TAG = "operator"
READ, WRITE = "billing.read", "billing.write"


class PriceBookOut(serializers.Serializer[PriceBook]):
    id = serializers.CharField()
    object = Constant("price_book")
    name = serializers.CharField()
    currency = serializers.CharField()
    tenant_id = serializers.CharField(allow_null=True, help_text="Null: for any contract.")
    is_list = serializers.BooleanField(help_text="What a tenant without a contract pays by.")
    created_at = UnixTime()


class PriceBookIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    currency = Currency(required=False, default="USD")
    tenant_id = serializers.CharField(required=False, default="", max_length=40)


class PriceFields(serializers.Serializer[Any]):
    meter = serializers.ChoiceField(sorted(METERS))
    match = serializers.DictField(
        child=serializers.CharField(max_length=200),
        required=False,
        default=dict,
        help_text="Dimensions that a count must have; empty: any.",
    )
    revenue = serializers.ChoiceField(RevenueLine.values)
    charge = serializers.DictField(help_text='Such as {"model": "standard", "unit": "0.1"}.')


class PriceVersionOut(serializers.Serializer[PriceBookVersion]):
    id = serializers.CharField()
    object = Constant("price_version")
    book_id = serializers.CharField()
    number = serializers.IntegerField()
    note = serializers.CharField()
    valid_from = UnixTime(allow_null=True)
    published_at = UnixTime(allow_null=True)
    created_at = UnixTime()


class PriceVersionFullOut(PriceVersionOut):
    prices = PriceFields(many=True)


class PriceVersionIn(serializers.Serializer[Any]):
    prices = PriceFields(many=True, max_length=2000)  # type: ignore[call-arg]
    note = serializers.CharField(required=False, default="", max_length=200, allow_blank=True)


class PublishIn(serializers.Serializer[Any]):
    valid_from = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")
    currency = Currency(required=False, allow_null=True, default=None)


class PriceOverrideOut(serializers.Serializer[PriceOverride]):
    id = serializers.CharField()
    object = Constant("price_override")
    meter = serializers.CharField()
    reason = serializers.CharField()
    book_id = serializers.CharField(allow_null=True)
    tenant_id = serializers.CharField(allow_null=True)
    granted_by = serializers.CharField()
    expires_at = UnixTime()
    created_at = UnixTime()


class PriceOverrideIn(serializers.Serializer[Any]):
    meter = serializers.ChoiceField([ANY_METER, *sorted(METERS)], help_text='"*": every meter.')
    reason = serializers.CharField(max_length=500)
    expires_at = UnixTime()
    book_id = serializers.CharField(required=False, default="", max_length=40)
    tenant_id = serializers.CharField(required=False, default="", max_length=40)


def render_book(row: PriceBook) -> dict[str, Any]:
    return PriceBookOut(row).data


def render_version(row: PriceBookVersion) -> dict[str, Any]:
    return PriceVersionOut(row).data


def render_full(row: PriceBookVersion) -> dict[str, Any]:
    prices = version_rows(row)
    return {**render_version(row), "prices": PriceFields(prices, many=True).data}


def render_override(row: PriceOverride) -> dict[str, Any]:
    return PriceOverrideOut(row).data


class PriceBooksView(ApiView):
    @operation(
        "List price books", tag=TAG, needs=READ, answer=list_of(PriceBookOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(price_books(), self.query(PageQuery), render_book))

    @operation(
        "Create a price book",
        tag=TAG,
        needs=WRITE,
        answer=PriceBookOut,
        status=201,
        body=PriceBookIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        book = price_book_create(actor=self.actor, **self.body(PriceBookIn))
        return Response(render_book(book), status=201)


class PriceVersionsView(ApiView):
    @operation(
        "List versions of a price book",
        tag=TAG,
        needs=READ,
        answer=list_of(PriceVersionOut),
        query=PageQuery,
    )
    def get(self, request: Request, price_book_id: str) -> Response:  # noqa: ARG002
        rows = price_versions(price_book_get(price_book_id).id)
        return Response(page(rows, self.query(PageQuery), render_version))

    @operation(
        "Draft a version of a price book",
        tag=TAG,
        needs=WRITE,
        answer=PriceVersionFullOut,
        status=201,
        body=PriceVersionIn,
    )
    def post(self, request: Request, price_book_id: str) -> Response:  # noqa: ARG002
        sent = self.body(PriceVersionIn)
        version = price_version_draft(
            actor=self.actor,
            book_id=price_book_id,
            prices=[NewPrice(**price) for price in sent["prices"]],
            note=sent["note"],
        )
        return Response(render_full(version), status=201)


class PriceVersionView(ApiView):
    @operation("Retrieve a price version", tag=TAG, needs=READ, answer=PriceVersionFullOut)
    def get(self, request: Request, price_version_id: str) -> Response:  # noqa: ARG002
        return Response(render_full(price_version_get(price_version_id)))


class PriceVersionPublishView(ApiView):
    """Refused with the arithmetic where anybody's price would then lie below its floor."""

    @operation(
        "Publish a price version", tag=TAG, needs=WRITE, answer=PriceVersionOut, body=PublishIn
    )
    def post(self, request: Request, price_version_id: str) -> Response:  # noqa: ARG002
        version = price_version_publish(
            actor=self.actor, version_id=price_version_id, **self.body(PublishIn)
        )
        return Response(render_version(version))


class PriceOverridesView(ApiView):
    @operation(
        "List price overrides",
        tag=TAG,
        needs=READ,
        answer=list_of(PriceOverrideOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(PriceOverride.objects.all(), self.query(PageQuery), render_override))

    @operation(
        "Grant a price override",
        tag=TAG,
        needs=WRITE,
        answer=PriceOverrideOut,
        status=201,
        body=PriceOverrideIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        override = price_override_grant(actor=self.actor, **self.body(PriceOverrideIn))
        return Response(render_override(override), status=201)
