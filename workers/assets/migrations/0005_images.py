from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("assets", "0004_tasks")]

    operations = [
        migrations.AlterField(
            model_name="basemodel",
            name="kind",
            field=models.CharField(
                choices=[
                    ("text_generation", "Text Generation"),
                    ("embedding", "Embedding"),
                    ("tabular", "Tabular"),
                    ("image", "Image"),
                ],
                max_length=24,
            ),
        ),
    ]
