"""The list book with its first prices: without it nothing could be charged.

Before the tables are locked: the owner is bound by their policies too.
"""

from __future__ import annotations

from django.db import migrations

from tenants.pricing.defaults import CURRENCY, FIRST_VERSION, LIST_BOOK, PRICES, SINCE


def seed(apps, schema_editor):
    using = schema_editor.connection.alias
    book = (
        apps.get_model("pricing", "PriceBook")
        .objects.using(using)
        .create(id=LIST_BOOK, name="List", currency=CURRENCY, is_list=True)
    )
    version = (
        apps.get_model("pricing", "PriceBookVersion")
        .objects.using(using)
        .create(
            id=FIRST_VERSION,
            book=book,
            number=1,
            valid_from=SINCE,
            published_at=SINCE,
            note="first prices",
        )
    )
    price = apps.get_model("pricing", "Price")
    price.objects.using(using).bulk_create(
        price(
            version=version,
            meter=p.meter,
            match=dict(p.match),
            revenue=p.revenue,
            charge=dict(p.charge),
        )
        for p in PRICES
    )


class Migration(migrations.Migration):
    dependencies = [("pricing", "0001_initial")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
