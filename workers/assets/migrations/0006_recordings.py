from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("assets", "0005_images")]

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
                    ("audio", "Audio"),
                ],
                max_length=24,
            ),
        ),
    ]
