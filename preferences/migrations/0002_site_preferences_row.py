"""Make the one row of Site Preferences, so that reading preferences never writes."""

from django.db import migrations


def make_row(apps, schema_editor):
    apps.get_model("preferences", "SitePreferences").objects.using(
        schema_editor.connection.alias
    ).get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("preferences", "0001_initial")]
    operations = [migrations.RunPython(make_row, migrations.RunPython.noop)]
