from django.db import migrations, models


class Migration(migrations.Migration):
    """What a job was quoted, and what it has been charged."""

    dependencies = [("jobs", "0003_offers")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="quote_id",
            field=models.CharField(blank=True, default="", max_length=40),
        ),
        migrations.AddField(model_name="job", name="quoted", field=models.JSONField(default=dict)),
        migrations.AddField(
            model_name="job",
            name="bound",
            field=models.DecimalField(decimal_places=12, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="job",
            name="charged",
            field=models.DecimalField(decimal_places=12, default=0, max_digits=38),
        ),
        migrations.AddField(
            model_name="job",
            name="charged_tax",
            field=models.DecimalField(decimal_places=12, default=0, max_digits=38),
        ),
        migrations.AddField(
            model_name="job",
            name="stretch",
            field=models.DecimalField(decimal_places=12, default=0, max_digits=38),
        ),
        migrations.AddField(
            model_name="job",
            name="currency",
            field=models.CharField(blank=True, default="", max_length=3),
        ),
    ]
