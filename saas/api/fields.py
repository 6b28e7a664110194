"""Fields of requests and answers that DRF does not bring."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.kernel.money import minor_units

MAX_TIME = 253_402_300_799  # the last second of the year 9999


@extend_schema_field(OpenApiTypes.INT64)
class UnixTime(serializers.Field[dt.datetime, int, int, Any]):
    """A moment as whole seconds since 1970, UTC."""

    default_error_messages = {  # noqa: RUF012 -- DRF's own convention
        "invalid": f"give a moment as whole seconds since 1970, from 0 to {MAX_TIME}"
    }

    def to_representation(self, value: dt.datetime) -> int:
        return int(value.timestamp())

    def to_internal_value(self, data: Any) -> dt.datetime:
        text = str(data)
        if isinstance(data, bool) or not (text.isascii() and text.isdigit()) or len(text) > 12:
            self.fail("invalid")
        if int(text) > MAX_TIME:
            self.fail("invalid")
        return dt.datetime.fromtimestamp(int(text), tz=dt.UTC)


@extend_schema_field({"type": "string", "format": "decimal", "examples": ["12.5"]})
class Amount(serializers.DecimalField):
    """An exact decimal number as text: up to 12 digits after the point, no trailing zeros."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=38, decimal_places=12, **kwargs)

    def to_representation(self, value: Any) -> str:
        return exact(Decimal(value))


def exact(value: Decimal) -> str:
    """A number as text, never with an exponent, without trailing zeros; zero has no sign."""
    return f"{value.normalize():f}" if value else "0"


@extend_schema_field({"type": "string", "pattern": "^2[01][0-9]{2}-(0[1-9]|1[0-2])$"})
class Month(serializers.Field[dt.date, Any, str, Any]):
    """A UTC month like `2026-11`: as a date its first day."""

    default_error_messages = {  # noqa: RUF012 -- DRF's own convention
        "invalid": "give a month like 2026-11, of the years 2000 to 2199"
    }

    def to_representation(self, value: dt.date) -> str:
        return f"{value:%Y-%m}"

    def to_internal_value(self, data: Any) -> dt.date:
        year, dash, month = str(data).partition("-")
        digits = len(year) == 4 and len(month) == 2 and f"{year}{month}".isdecimal()
        if not (dash and digits and str(data).isascii()):
            self.fail("invalid")
        if not (2000 <= int(year) <= 2199 and 1 <= int(month) <= 12):
            self.fail("invalid")
        return dt.date(int(year), int(month), 1)


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{3}$"})
class Currency(serializers.CharField):
    """A currency of ISO 4217: three capital letters, like USD."""

    def to_internal_value(self, data: Any) -> str:
        code: str = super().to_internal_value(data)
        try:
            minor_units(code)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return code


class Metadata(serializers.DictField):
    """Up to 16 labels of the customer's own: keys of 64 characters, values of 512."""

    child = serializers.CharField(max_length=512, allow_blank=True, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        found: dict[str, str] = super().to_internal_value(data)
        if len(found) > 16:
            raise serializers.ValidationError(f"at most 16 labels, not {len(found)}")
        for key in found:
            if not 1 <= len(key) <= 64:
                raise serializers.ValidationError(f"a label's key has 1 to 64 characters: {key!r}")
        return found


class Constant(serializers.ChoiceField):
    """A value that is the same in every answer (`object: "file"`)."""

    def __init__(self, value: str) -> None:
        super().__init__(choices=[value], read_only=True)
        self.value = value

    def get_attribute(self, instance: Any) -> str:  # noqa: ARG002
        return self.value

    def to_representation(self, value: Any) -> str:
        return str(value)


class AutoOr(serializers.Field[Any, Any, Any, Any]):
    """A number, or "auto" to leave the choice to us."""

    def __init__(self, kind: type[int | float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind

    def to_representation(self, value: Any) -> Any:
        return value

    def to_internal_value(self, data: Any) -> Any:
        if data == "auto":
            return data
        number = isinstance(data, int | self.kind) and not isinstance(data, bool)
        if not number or not -1e9 <= data <= 1e9:
            what = "a whole number" if self.kind is int else "a number"
            raise serializers.ValidationError(f'give {what} or "auto", not {str(data)[:40]!r}')
        return data


class AutoOrExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = AutoOr

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:  # noqa: ARG002
        name = "integer" if self.target.kind is int else "number"
        return {"oneOf": [{"type": "string", "enum": ["auto"]}, {"type": name}]}
