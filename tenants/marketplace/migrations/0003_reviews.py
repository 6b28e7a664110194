"""The platform's own report of a wheel, and how far its check is; the partner's stays beside it."""

from __future__ import annotations

from django.db import migrations, models

STATES = [
    ("submitted", "Submitted"),
    ("checking", "Checking"),
    ("checked", "Checked"),
    ("approved", "Approved"),
    ("published", "Published"),
    ("suspended", "Suspended"),
    ("refused", "Refused"),
]


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0002_security")]

    operations = [
        migrations.RenameField("listing", "conformance", "submitted_report"),
        migrations.AddField("listing", "conformance", models.JSONField(default=dict)),
        migrations.AddField("listing", "check_tries", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("listing", "check_until", models.DateTimeField(null=True)),
        migrations.AddField("listing", "checks_made", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField(
            "listing", "check_subject", models.CharField(blank=True, default="", max_length=200)
        ),
        migrations.AlterField(
            "listing",
            "state",
            models.CharField(choices=STATES, default="submitted", max_length=12),
        ),
        migrations.AlterField(
            "listingstep", "state", models.CharField(choices=STATES, max_length=12)
        ),
    ]
