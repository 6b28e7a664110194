from django.db import migrations, models


class Migration(migrations.Migration):
    """Whether a tenant lets its fine-tunes be computed together with others'."""

    dependencies = [("accounts", "0003_framework_tables")]

    operations = [
        migrations.AddField(
            model_name="tenant", name="shares_passes", field=models.BooleanField(default=False)
        )
    ]
