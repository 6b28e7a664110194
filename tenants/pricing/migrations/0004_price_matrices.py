"""A matrix may stand beside the price for all else, with the same match: publishing compares their
cells.
"""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("pricing", "0003_security")]

    operations = [migrations.RemoveConstraint(model_name="price", name="price_once")]
