from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("serving", "0002_security")]

    operations = [
        migrations.AddField(
            model_name="replica", name="active", field=models.PositiveIntegerField(default=0)
        ),
    ]
