"""The list book with its first prices: without it nothing could be charged.

They hold since ever; where something was counted already, from now on, and before it all is free:
nobody had told a price. Before the tables are locked: the owner is bound by their policies too.
"""

from __future__ import annotations

from django.db import migrations
from django.utils import timezone

from tenants.pricing.defaults import CURRENCY, FIRST_VERSION, FREE, LIST_BOOK, PRICES, SINCE


def seed(apps, schema_editor):
    using = schema_editor.connection.alias
    book = (
        apps.get_model("pricing", "PriceBook")
        .objects.using(using)
        .create(id=LIST_BOOK, name="List", currency=CURRENCY, is_list=True)
    )
    since = SINCE
    if counted_already(schema_editor):
        publish(apps, using, book, "bookv_list_0", SINCE, number=0, charge=FREE)
        since = timezone.now()
    publish(apps, using, book, FIRST_VERSION, since, number=1)


def counted_already(schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE usage_event NO FORCE ROW LEVEL SECURITY")
        cursor.execute("SELECT EXISTS (SELECT FROM usage_event)")
        found = cursor.fetchone()[0]
        cursor.execute("ALTER TABLE usage_event FORCE ROW LEVEL SECURITY")
    return found


def publish(apps, using, book, version_id, since, *, number, charge=None):
    version = (
        apps.get_model("pricing", "PriceBookVersion")
        .objects.using(using)
        .create(
            id=version_id,
            book=book,
            number=number,
            valid_from=since,
            published_at=since,
            note="before there were prices" if charge else "first prices",
        )
    )
    price = apps.get_model("pricing", "Price")
    price.objects.using(using).bulk_create(
        price(
            version=version,
            meter=p.meter,
            match=dict(p.match),
            revenue=p.revenue,
            charge=dict(charge or p.charge),
        )
        for p in PRICES
    )


class Migration(migrations.Migration):
    dependencies = [("pricing", "0001_initial"), ("usage", "0001_initial")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
