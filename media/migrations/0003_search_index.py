"""The trigram index that the library's search needs on PostgreSQL, where pg_trgm can be had."""

import logging

from django.db import DatabaseError, migrations, transaction

logger = logging.getLogger(__name__)

EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
# The expression is the one that Django's icontains compares on PostgreSQL.
INDEX = (
    "CREATE INDEX IF NOT EXISTS media_name_trigrams "
    "ON media_mediafile USING gin (UPPER(name) gin_trgm_ops)"
)


def create_index(apps, schema_editor) -> None:
    """Make the index, or say how an admin of the database makes it later."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    try:
        # A savepoint: without the privilege the rest of the migration still commits.
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(EXTENSION)
            cursor.execute(INDEX)
    except DatabaseError as error:
        logger.warning(
            "The library's search works without its index, but slowly on a large library: %s. "
            "Let a superuser of the database run:  %s;  %s;",
            str(error).strip().partition("\n")[0],
            EXTENSION,
            INDEX,
        )


def drop_index(apps, schema_editor) -> None:
    """Remove the index; the extension stays, others may use it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS media_name_trigrams")


class Migration(migrations.Migration):
    dependencies = [("media", "0002_initial")]

    operations = [migrations.RunPython(create_index, drop_index, elidable=False)]
