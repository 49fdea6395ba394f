"""PostgreSQL as an operator's command reads it: one short connection, clear sentences when it cannot be had.

The pipeline's own pools are built in `ops.wiring`; here are only connections that last as long as a verb.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from ops.errors import ConfigError, DependencyUnavailable
from ops.masking import mask_connection, mask_text
from ops.settings_model import Settings

if TYPE_CHECKING:
    import psycopg

_CONNECT_TIMEOUT_S = 5
_STATEMENT_TIMEOUT_S = 30
# PostgreSQL's own words for a connection that reached the server and was turned away: waiting cannot help.
_TURNED_AWAY = re.compile(
    r"authentication failed|no password supplied|role \".*\" does not exist|database \".*\" does not exist|no pg_hba"
)

# A connection string that libpq parses and cannot use: no server will ever answer there.
_UNREADABLE = re.compile(r"invalid integer value|invalid port number")


def _why(error: Exception) -> str:
    """The telling line of libpq's text, which repeats itself for every address and adds a hint."""
    lines = [line.strip(" -") for line in mask_text(str(error)).splitlines() if line.strip()]
    telling = [line for line in lines if "failed: " in line or "FATAL" in line]
    return (telling or lines or [type(error).__name__])[0].removeprefix("connection failed: ")


def _unreadable(dsn: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"DATABASE_URL is {mask_connection(dsn)}, expected postgresql://user@host:port/database "
        f"or key=value pairs: {_why(error)}."
    )


@contextmanager
def connect(
    settings: Settings, purpose: str, statement_timeout_s: int = _STATEMENT_TIMEOUT_S
) -> Iterator["psycopg.Connection[dict[str, Any]]"]:
    """A connection in autocommit with rows as dicts, closed at the end; a time-out of 0 means none.

    Raises:
        ConfigError: DATABASE_URL is unset, unreadable, or the server turned the login away.
        DependencyUnavailable: nobody answered, or the connection broke in the middle.
    """
    import psycopg
    from psycopg.rows import dict_row

    dsn = settings.dsn()
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name=f"bongsu {purpose}",
        )
    except psycopg.OperationalError as error:
        if _UNREADABLE.search(str(error)):
            raise _unreadable(dsn, error) from None
        where = f"DATABASE_URL is {mask_connection(dsn)}"
        if _TURNED_AWAY.search(str(error)):
            raise ConfigError(f"{where}, which the server turned away: {_why(error)}.") from None
        raise DependencyUnavailable(f"{where}, where no PostgreSQL answers: {_why(error)}.") from None
    except psycopg.Error as error:
        raise _unreadable(dsn, error) from None
    try:
        with connection:
            connection.execute(f"SET statement_timeout = '{int(statement_timeout_s)}s'".encode())
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise ConfigError(
            f"DATABASE_URL is {mask_connection(dsn)}, a database without Bongsu's tables ({_why(error)}): "
            "run ./bongsu migrate first."
        ) from error
    except psycopg.OperationalError as error:
        raise DependencyUnavailable(f"PostgreSQL went away in the middle of the command: {_why(error)}.") from error


def database_answers(settings: Settings) -> str | None:
    """One attempt for `ops.waiting`: None when a connection can be had, else why not. Raises ConfigError."""
    try:
        with connect(settings, "waiting"):
            return None
    except DependencyUnavailable as error:
        return str(error).rpartition("answers: ")[2].rstrip(".")


def query(
    connection: "psycopg.Connection[dict[str, Any]]", name: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run the statement of ops/sql/<name>.sql."""
    text = resources.files("ops").joinpath("sql", f"{name}.sql").read_bytes()
    return connection.execute(text, parameters).fetchall()


@contextmanager
def by_position(connection: "psycopg.Connection[dict[str, Any]]") -> Iterator["psycopg.Connection[Any]"]:
    """The same connection with rows as tuples, for `ops.migrations`."""
    from psycopg.rows import tuple_row

    untyped: Any = connection
    before, untyped.row_factory = untyped.row_factory, tuple_row
    try:
        yield untyped
    finally:
        untyped.row_factory = before
