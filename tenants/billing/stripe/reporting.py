"""Reporting every stream's usage, each in a transaction of its own. For a periodic task."""

from __future__ import annotations

import datetime as dt

from tenants.billing.stripe.models import StripeStream
from tenants.billing.stripe.services.metering import stream_report
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope

SETTLED = dt.timedelta(minutes=10)  # after an hour's end most of its usage has come


def streams_report(*, until: dt.datetime | None = None) -> int:
    """Report what has been counted; return how many streams there are. Outside of any scope."""
    moment = until or now() - SETTLED
    with system_scope():
        rows = StripeStream.objects.filter(ended_at__isnull=True).order_by("id")
        streams = list(rows.values_list("tenant_id", "id"))
    for tenant_id, stream_id in streams:
        with system_scope():
            stream_report(tenant_id=tenant_id, stream_id=stream_id, until=moment)
    return len(streams)
