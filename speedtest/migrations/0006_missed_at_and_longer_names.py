from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("speedtest", "0005_results_and_invitations"),
    ]

    operations = [
        migrations.AddField(
            model_name="replicationlag",
            name="missed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="speedtestrun",
            name="configuration",
            field=models.CharField(max_length=120),
        ),
    ]
