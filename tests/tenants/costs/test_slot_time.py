"""What may be said of a stretch of slot time."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.kernel.errors import InvalidInput
from tests.tenants.costs.factories import after, slot_time


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"purpose": "fun"}, "purpose"),
        ({"rate_kind": "stolen"}, "rate_kind"),
        ({"ended_at": after(-1)}, "ended_at"),
        ({"started_at": after(0).replace(tzinfo=None)}, "started_at"),
        ({"job_id": ""}, "job_id"),
        ({"tenant_id": ""}, "job_id"),
        ({"attempt": None}, "job_id"),
        ({"purpose": "retry", "job_id": ""}, "job_id"),
        ({"purpose": "idle", "job_id": "ftjob-1"}, "job_id"),
        ({"purpose": "startup", "tenant_id": "ten_1"}, "job_id"),
        ({"key": ""}, "key"),
        ({"key": "x" * 191}, "key"),
        ({"worker": ""}, "worker"),
        ({"resource": ""}, "worker"),
        ({"slot": -1}, "worker"),
    ],
)
def test_nonsense_is_refused_by_the_field(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        slot_time(0, 1, **{"resource": "worker.cpu"} | changes)
    assert refused.value.param == param
