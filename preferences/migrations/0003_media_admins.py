"""Make the group “Media admins”, who may see and change Site Preferences."""

from django.db import migrations

GROUP = "Media admins"


def make_group(apps, schema_editor):
    alias = schema_editor.connection.alias
    # Django makes permissions after the last migration; the group needs its two now.
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(alias)
        .get_or_create(app_label="preferences", model="sitepreferences")
    )
    permissions = [
        apps.get_model("auth", "Permission")
        .objects.using(alias)
        .get_or_create(
            content_type=content_type,
            codename=f"{action}_sitepreferences",
            defaults={"name": f"Can {action} Site Preferences"},
        )[0]
        for action in ("view", "change")
    ]
    group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=GROUP)
    group.permissions.add(*permissions)


def remove_group(apps, schema_editor):
    apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias).filter(
        name=GROUP
    ).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("preferences", "0002_site_preferences_row"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_group, remove_group)]
