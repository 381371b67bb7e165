"""Keep every version of Site Preferences as a revision; begin with the defaults and the present."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.utils import timezone

DEFAULTS = {
    "s3_configuration": "{}",
    "s3_bucket_for_replication": "",
    "s3_replication_delay": 60,
    "s3_replication_ip_addresses": "",
    "storage_location": "",
    "verify_replica_copies": True,
}


def make_revisions(apps, schema_editor):
    """Make revision 0 with the defaults and, where preferences were saved, one of what is."""
    alias = schema_editor.connection.alias
    revisions = apps.get_model("preferences", "PreferenceRevision").objects.using(alias)
    row = (
        apps.get_model("preferences", "SitePreferences")
        .objects.using(alias)
        .select_related("changed_by")
        .filter(pk=1)
        .first()
    )
    created = (row and row.changed_at) or timezone.now()
    revisions.create(number=0, created=created, source="installation", data=DEFAULTS)
    if row and row.version:
        revisions.create(
            number=row.version,
            created=created,
            user=row.changed_by,
            username=row.changed_by.username if row.changed_by else "",
            source="page",
            comment="As it was when History began.",
            data={field: getattr(row, field) for field in DEFAULTS},
        )


class Migration(migrations.Migration):
    dependencies = [("preferences", "0003_media_admins")]
    operations = [
        migrations.CreateModel(
            name="PreferenceRevision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(unique=True)),
                ("created", models.DateTimeField()),
                ("username", models.CharField(blank=True, max_length=150)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("page", "page"),
                            ("api", "API"),
                            ("command line", "command line"),
                            ("restore", "restore"),
                            ("environment", "environment"),
                            ("installation", "installation"),
                        ],
                        max_length=12,
                    ),
                ),
                ("address", models.CharField(blank=True, max_length=64)),
                ("comment", models.CharField(blank=True, max_length=500)),
                ("data", models.JSONField()),
                ("restored_from", models.PositiveIntegerField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"default_permissions": (), "ordering": ("-number",)},
        ),
        migrations.RunPython(make_revisions, migrations.RunPython.noop),
    ]
