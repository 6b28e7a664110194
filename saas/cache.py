"""What the shared cache holds is JSON: Django's own serializer would be pickle."""

from __future__ import annotations

import json
from typing import Any


class JsonSerializer:
    """The `serializer` of Django's Redis cache. Values are JSON's types; tuples come back as lists.

    https://docs.djangoproject.com/en/5.2/topics/cache/#redis
    """

    def dumps(self, value: Any) -> bytes | int:
        """Whole numbers stay bare, so that Redis can count with them."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes | int) -> Any:
        return json.loads(data) if isinstance(data, bytes) else data
