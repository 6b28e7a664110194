import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("assets", "0006_recordings")]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="over",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="adapters",
                to="assets.modelversion",
            ),
        ),
    ]
