from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("media", "0003_search_index")]

    operations = [
        migrations.AddIndex(
            model_name="mediafile",
            index=models.Index(fields=["configuration"], name="media_by_configuration"),
        ),
    ]
