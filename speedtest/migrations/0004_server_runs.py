from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("speedtest", "0003_replication_lag")]

    operations = [
        migrations.AddField(
            model_name="speedtestrun",
            name="source",
            field=models.CharField(
                choices=[
                    ("browser", "browser"),
                    ("server", "this server"),
                    ("command", "command line"),
                ],
                default="browser",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="speedtestrun",
            name="progress",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="speedtestrun",
            name="seen_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="speedtestrun",
            name="stop_asked",
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name="speedtestrun",
            name="mode",
            field=models.CharField(
                choices=[
                    ("quick", "Quick"),
                    ("standard", "Standard"),
                    ("thorough", "Thorough"),
                    ("compare", "Comparison"),
                ],
                default="standard",
                max_length=10,
            ),
        ),
    ]
