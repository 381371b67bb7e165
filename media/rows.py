"""The one SQL statement of a download: session, person, media file, replica copy, preferences.

Through Django's cursor the statement costs PostgreSQL a new plan and psycopg some 200 microseconds
of processor time a request, more than all the rest of the redirect. Here it is prepared once per
connection and run through libpq's own interface (psycopg.pq); whenever that cannot be, the same
statement goes the ordinary way. With SQLite the driver is asked directly, too, for a part of what
the cursor costs. Where statements are logged or counted they all go the ordinary way.
"""

from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

LAST_ID = 2**63 - 1
"""The largest id that a database can hold, and can be asked for."""


class Row(NamedTuple):
    """The answer. Times are in seconds since the epoch; the media file's and the copy's columns
    are None when there is none."""

    expires: float
    auth_hash: str
    user_id: int
    password: str
    is_active: bool
    use_s3_replication: str
    version: int
    name: str | None
    content_type: str | None
    size: int | None
    configuration: str | None
    path: str | None
    completed_at: float | None
    copy: str | None
    tries: int | None
    next_check_at: float | None


_SQL = """
SELECT {s.expire_date}, s.auth_hash, u.id, u.password, u.is_active, u.use_s3_replication, p.version,
       m.name, m.content_type, m.size, m.configuration, m.path, {m.completed_at},
       c.state, c.tries, {c.next_check_at}
FROM preferences_session s
JOIN preferences_user u ON u.id = s.user_id
JOIN preferences_sitepreferences p ON p.id = 1
LEFT JOIN media_mediafile m ON m.id = {media_file_id}
LEFT JOIN media_replicacopy c ON c.media_file_id = m.id AND c.target = p.replica_target
WHERE s.session_key = {session_key}
"""


_EPOCH = {
    "postgresql": "EXTRACT(EPOCH FROM {})::float8",
    # To some 40 microseconds: SQLite's days since noon of 24 November 4714 BC are a double.
    "sqlite": "(julianday({}) - 2440587.5) * 86400.0",
}


@cache
def _sql(vendor: str, first: str, second: str) -> str:
    sql = _SQL.replace("{media_file_id}", first).replace("{session_key}", second)
    for column in ("s.expire_date", "m.completed_at", "c.next_check_at"):
        sql = sql.replace(f"{{{column}}}", _EPOCH[vendor].format(column))
    return sql


def download_row(media_file_id: int, session_key: str) -> Row | None:
    """Return the row of one download, or None when there is no such session of a person.

    `session_key` is ASCII letters and digits. The media file's columns are None when there is no
    media file with this id. Raises Django's database errors.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is not None and not database.queries_logged:
        if database.vendor == "sqlite":
            return _sqlite_row(database, media_file_id, session_key)
        found, row = _prepared_row(database.connection, media_file_id, session_key)
        if found:
            return row
    try:
        values = _execute(database, media_file_id, session_key)
    except (OperationalError, InterfaceError):
        # A connection that the server has dropped shows in this statement itself, which may be
        # repeated on a new one; within a transaction there is nothing to be saved.
        if database.in_atomic_block:
            raise
        database.close()
        values = _execute(database, media_file_id, session_key)
    return None if values is None else Row._make(values)


def _execute(
    database: BaseDatabaseWrapper, media_file_id: int, session_key: str
) -> tuple[Any, ...] | None:
    # The statement itself tells whether the connection is alive: asking first
    # (CONN_HEALTH_CHECKS) would cost a second round trip.
    database.health_check_done = True
    with database.cursor() as cursor:
        cursor.execute(_sql(database.vendor, "%s", "%s"), (media_file_id, session_key))
        return cursor.fetchone()


def _sqlite_row(database: BaseDatabaseWrapper, media_file_id: int, session_key: str) -> Row | None:
    with database.wrap_database_errors:
        values = database.connection.execute(
            _sql("sqlite", "?", "?"), (media_file_id, session_key)
        ).fetchone()
    return None if values is None else Row._make(values)


# --- PostgreSQL, prepared -------------------------------------------------------------------------

_NAME = b"shotmedia_download"
_TUPLES_OK = 2
"""libpq's PGRES_TUPLES_OK, "Successful completion of a command returning data"."""

# Whether the statement is prepared on a connection; False where it could not be used, as behind a
# pooler that hands out another server connection each time.
_usable: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _prepared_row(driver: Any, media_file_id: int, session_key: str) -> tuple[bool, Row | None]:
    """Return (True, the row), or (False, None) when the ordinary way has to be taken."""
    usable = _usable.get(driver)
    if usable is None:
        usable = _usable[driver] = _prepare(driver)
    if not usable:
        return False, None
    result = driver.pgconn.exec_prepared(_NAME, [str(media_file_id).encode(), session_key.encode()])
    if result.status != _TUPLES_OK:
        _usable[driver] = False
        return False, None
    if result.ntuples == 0:
        return True, None
    return True, Row._make(
        convert(value) if (value := result.get_value(0, column)) is not None else None
        for column, convert in enumerate(_CONVERTERS)
    )


def _prepare(driver: Any) -> bool:
    sql = _sql("postgresql", "$1::bigint", "$2::varchar")
    return driver.pgconn.prepare(_NAME, sql.encode()).status == 1  # PGRES_COMMAND_OK


_TYPES = {
    "expires": float,
    "user_id": int,
    "is_active": b"t".__eq__,
    "version": int,
    "size": int,
    "completed_at": float,
    "tries": int,
    "next_check_at": float,
}
_CONVERTERS = tuple(_TYPES.get(column, bytes.decode) for column in Row._fields)
