"""A replication connection to PostgreSQL through psycopg's `pq` layer (COPY_BOTH); I/O.

Belongs here: connecting with every output format pinned, START_REPLICATION, reading frames, writing standby
status. Does not belong here: what a frame means (`capture.pgoutput`) or what may be confirmed
(`capture.position`).
"""

import select
import struct
from dataclasses import dataclass
from typing import Final

from psycopg import conninfo, pq

from capture.errors import StreamEnded
from capture.pgoutput import POSTGRES_EPOCH_US

_STATUS: Final = struct.Struct(">cQQQqB")
_PINNED: Final = (
    # The encoders read one spelling of each type; an operator's or a database's default must not change it.
    "-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=iso_8601 -c bytea_output=hex -c extra_float_digits=1"
    " -c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0"
)
_KEEPALIVES: Final = {
    # A dead peer holds the slot until TCP notices; the server's side is bounded by wal_sender_timeout below.
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "connect_timeout": "5",
}


def pinned_conninfo(dsn: str, *, application_name: str, wal_sender_timeout_ms: int | None = None) -> str:
    """`dsn` with output formats, time-outs and TCP keepalives pinned; options of the DSN itself come first and lose.

    Raises:
        psycopg.ProgrammingError: the DSN is malformed.
    """
    given = conninfo.conninfo_to_dict(dsn)
    options = f"{given.get('options') or ''} {_PINNED}".strip()
    if wal_sender_timeout_ms is not None:
        options += f" -c wal_sender_timeout={wal_sender_timeout_ms}"
    pinned = {"options": options, "application_name": application_name, "client_encoding": "UTF8"}
    return conninfo.make_conninfo("", **{**_KEEPALIVES, **given, **pinned})


@dataclass(frozen=True, slots=True)
class System:
    """Who the server is: IDENTIFY_SYSTEM."""

    system_identifier: str
    timeline: int
    database: str

    @property
    def epoch(self) -> str:
        """`<system identifier>-<timeline>`: positions of two epochs are not compared (design.md §4)."""
        return f"{self.system_identifier}-{self.timeline}"


class ReplicationConnection:
    """One walsender connection. Not for use by two threads."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn

    @classmethod
    def open(cls, dsn: str, *, wal_sender_timeout_ms: int = 15_000) -> "ReplicationConnection":
        """Connect as a walsender of the DSN's database.

        Args:
            dsn: libpq connection string; TLS settings pass through.
            wal_sender_timeout_ms: after which silence the server gives the slot free.

        Raises:
            StreamEnded: the server refused or did not answer.
        """
        pinned = pinned_conninfo(dsn, application_name="bongsu-relay", wal_sender_timeout_ms=wal_sender_timeout_ms)
        pgconn = pq.PGconn.connect(conninfo.make_conninfo(pinned, replication="database").encode())
        if pgconn.status != pq.ConnStatus.OK:
            sentence = pgconn.get_error_message().strip()
            pgconn.finish()
            raise StreamEnded(sentence)
        return cls(pgconn)

    def identify(self) -> System:
        """Ask the server who it is."""
        result = self._command("IDENTIFY_SYSTEM", pq.ExecStatus.TUPLES_OK)
        values = [result.get_value(0, column) or b"" for column in range(4)]
        return System(values[0].decode(), int(values[1]), values[3].decode())

    def start(self, slot: str, publication: str) -> None:
        """Start streaming from the slot's confirmed position; logical messages are asked for, for heartbeats.

        Raises:
            StreamEnded: with the server's SQLSTATE, e.g. 55006 when another relay holds the slot.
        """
        self._command(
            f"START_REPLICATION SLOT {_identifier(slot)} LOGICAL 0/0 (proto_version '1',"
            f" publication_names {_literal(_identifier(publication))}, messages 'true')",
            pq.ExecStatus.COPY_BOTH,
        )
        # From here on a full socket must not block the status timer.
        self._pgconn.nonblocking = 1

    def read(self) -> bytes | None:
        """The next frame, None if none has arrived yet.

        Raises:
            StreamEnded: the server closed the stream or the connection broke.
        """
        try:
            size, frame = self._pgconn.get_copy_data(1)
        except Exception as error:
            raise StreamEnded(f"the replication connection broke: {error}".strip()) from error
        if size > 0:
            return bytes(frame)
        if size == 0:
            return None
        raise self._ended()

    def wait(self, timeout_s: float) -> bool:
        """Wait for bytes from the server, at most `timeout_s`; whether any came.

        Raises:
            StreamEnded: the connection broke.
        """
        ready, _, _ = select.select([self._pgconn.socket], [], [], timeout_s)
        if not ready:
            return False
        try:
            self._pgconn.consume_input()
        except Exception as error:
            raise StreamEnded(f"the replication connection broke: {error}".strip()) from error
        return True

    def confirm(self, lsn: int, now_us: int) -> None:
        """Tell the server that everything before `lsn` may be forgotten.

        Raises:
            StreamEnded: the connection broke.
        """
        status = _STATUS.pack(b"r", lsn, lsn, lsn, now_us - POSTGRES_EPOCH_US, 0)
        try:
            self._pgconn.put_copy_data(status)
            self._pgconn.flush()
        except Exception as error:
            raise StreamEnded(f"the replication connection broke: {error}".strip()) from error

    def close(self) -> None:
        """Close the connection; the server gives the slot free. Idempotent."""
        self._pgconn.finish()

    def _command(self, command: str, expected: pq.ExecStatus) -> pq.abc.PGresult:
        try:
            result = self._pgconn.exec_(command.encode())
        except Exception as error:
            raise StreamEnded(f"the replication connection broke: {error}".strip()) from error
        if result.status != expected:
            raise _refused(result)
        return result

    def _ended(self) -> StreamEnded:
        result = self._pgconn.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            return _refused(result)
        return StreamEnded("the server ended the replication stream")


def _refused(result: pq.abc.PGresult) -> StreamEnded:
    sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE)
    return StreamEnded(result.get_error_message().strip(), sqlstate.decode() if sqlstate else None)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
