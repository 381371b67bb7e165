"""The one SQL statement of a download: who asks, media file, replica copy, preferences.

Who asks is found by their session or by their API token: two statements with one half in common.

Through Django's cursor the statement costs PostgreSQL a new plan and psycopg some 200 microseconds
of processor time a request, more than all the rest of the redirect. Here it is prepared once per
connection and run through libpq's own interface (psycopg.pq); whenever that cannot be, the same
statement goes the ordinary way. With SQLite the driver is asked directly, too, for a part of what
the cursor costs. Where statements are logged or counted they all go the ordinary way.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

LAST_ID = 2**63 - 1
"""The largest id that a database can hold, and can be asked for."""


class Row(NamedTuple):
    """The answer for a session. Times are in seconds since the epoch; the media file's and the
    copy's columns are None when there is none."""

    expires: float
    auth_hash: str
    password: str
    is_active: bool
    user_id: int
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


class TokenRow(NamedTuple):
    """The answer for an API token; from `user_id` on as `Row`."""

    token_id: int
    digest: str
    is_active: bool
    expires: float | None
    revoked: float | None
    addresses: str
    last_used: float | None
    user_id: int
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


_SUBJECT = """
       u.id, u.use_s3_replication, p.version,
       m.name, m.content_type, m.size, m.configuration, m.path, {m.completed_at},
       c.state, c.tries, {c.next_check_at}
"""
_JOINS = """
JOIN preferences_user u ON u.id = s.user_id
JOIN preferences_sitepreferences p ON p.id = 1
LEFT JOIN media_mediafile m ON m.id = {media_file_id}
LEFT JOIN media_replicacopy c ON c.media_file_id = m.id AND c.target = p.replica_target
"""

_EPOCH = {
    "postgresql": "EXTRACT(EPOCH FROM {})::float8",
    # To some 40 microseconds: SQLite's days since noon of 24 November 4714 BC are a double.
    "sqlite": "(julianday({}) - 2440587.5) * 86400.0",
}
_TIMES = (
    "s.expire_date", "s.expires_at", "s.revoked_at", "s.last_used_at", "m.completed_at",
    "c.next_check_at",
)  # fmt: skip

R = TypeVar("R", Row, TokenRow)


@dataclass(frozen=True)
class _Statement(Generic[R]):
    """One of the two statements: its name where it is prepared, its SQL, and its rows."""

    name: bytes
    template: str
    row: type[R]

    def sql(self, vendor: str, first: str, second: str) -> str:
        text = self.template.replace("{media_file_id}", first).replace("{key}", second)
        for column in _TIMES:
            text = text.replace(f"{{{column}}}", _EPOCH[vendor].format(column))
        return text

    @cached_property
    def for_cursor(self) -> dict[str, str]:
        return {vendor: self.sql(vendor, "%s", "%s") for vendor in _EPOCH}

    @cached_property
    def for_sqlite(self) -> str:
        return self.sql("sqlite", "?", "?")

    @cached_property
    def for_preparing(self) -> bytes:
        return self.sql("postgresql", "$1::bigint", "$2::varchar").encode()

    @cached_property
    def converters(self) -> tuple[Any, ...]:
        return tuple(_TYPES.get(column, bytes.decode) for column in self.row._fields)


_BY_SESSION = _Statement(
    b"shotmedia_download",
    f"SELECT {{s.expire_date}}, s.auth_hash, u.password, u.is_active, {_SUBJECT}"
    f"FROM preferences_session s {_JOINS} WHERE s.session_key = {{key}}",
    Row,
)
_BY_TOKEN = _Statement(
    b"shotmedia_token_download",
    "SELECT s.id, s.digest, u.is_active, {s.expires_at}, {s.revoked_at}, s.addresses, "
    f"{{s.last_used_at}}, {_SUBJECT}"
    f"FROM preferences_apitoken s {_JOINS} WHERE s.key = {{key}}",
    TokenRow,
)


def download_row(media_file_id: int, session_key: str) -> Row | None:
    """Return the row of one download, or None when there is no such session of a person.

    `session_key` is ASCII letters and digits. The media file's columns are None when there is no
    media file with this id. Raises Django's database errors.
    """
    return _find(_BY_SESSION, media_file_id, session_key)


def download_row_by_token(media_file_id: int, key: str) -> TokenRow | None:
    """Return the row of one download by the API token with `key`, as `download_row`."""
    return _find(_BY_TOKEN, media_file_id, key)


def _find(statement: _Statement[R], media_file_id: int, key: str) -> R | None:
    database = connections[DEFAULT_DB_ALIAS]
    was_connected = database.connection is not None
    if was_connected and not database.queries_logged:
        if database.vendor == "sqlite":
            return _sqlite_row(database, statement, media_file_id, key)
        try:
            found, row = _prepared_row(database.connection, statement, media_file_id, key)
        except database.Database.Error:  # closed on this side, which the cursor says to Django
            found = False
        if found:
            return row
    try:
        values = _execute(database, statement, media_file_id, key)
    except (OperationalError, InterfaceError):
        # A connection that the server has dropped shows in this statement itself, which may be
        # repeated on a new one; within a transaction there is nothing to be saved. A server that
        # was just tried in vain is not: a network that swallows everything costs connect_timeout.
        if database.in_atomic_block or not was_connected:
            raise
        database.close()
        values = _execute(database, statement, media_file_id, key)
    return None if values is None else statement.row._make(values)


def _execute(
    database: BaseDatabaseWrapper, statement: _Statement[R], media_file_id: int, key: str
) -> tuple[Any, ...] | None:
    # The statement itself tells whether the connection is alive: asking first
    # (CONN_HEALTH_CHECKS) would cost a second round trip.
    database.health_check_done = True
    with database.cursor() as cursor:
        cursor.execute(statement.for_cursor[database.vendor], (media_file_id, key))
        return cursor.fetchone()


def _sqlite_row(
    database: BaseDatabaseWrapper, statement: _Statement[R], media_file_id: int, key: str
) -> R | None:
    with database.wrap_database_errors:
        values = database.connection.execute(statement.for_sqlite, (media_file_id, key)).fetchone()
    return None if values is None else statement.row._make(values)


# --- PostgreSQL, prepared -------------------------------------------------------------------------

_TUPLES_OK = 2
"""libpq's PGRES_TUPLES_OK, "Successful completion of a command returning data"."""

# Whether each statement is prepared on a connection; False where it could not be used, as behind a
# pooler that hands out another server connection each time.
_usable: WeakKeyDictionary[Any, dict[bytes, bool]] = WeakKeyDictionary()


def _prepared_row(
    driver: Any, statement: _Statement[R], media_file_id: int, key: str
) -> tuple[bool, R | None]:
    """Return (True, the row), or (False, None) when the ordinary way has to be taken."""
    usable = _usable.get(driver)
    if usable is None:
        usable = _usable[driver] = {}
    name = statement.name
    if name not in usable:
        # 1 is PGRES_COMMAND_OK.
        usable[name] = driver.pgconn.prepare(name, statement.for_preparing).status == 1
    if not usable[name]:
        return False, None
    result = driver.pgconn.exec_prepared(name, [str(media_file_id).encode(), key.encode()])
    if result.status != _TUPLES_OK:
        usable[name] = False
        return False, None
    if result.ntuples == 0:
        return True, None
    return True, statement.row._make(
        convert(value) if (value := result.get_value(0, column)) is not None else None
        for column, convert in enumerate(statement.converters)
    )


_TYPES = {
    "token_id": int,
    "expires": float,
    "revoked": float,
    "last_used": float,
    "user_id": int,
    "is_active": b"t".__eq__,
    "version": int,
    "size": int,
    "completed_at": float,
    "tries": int,
    "next_check_at": float,
}
