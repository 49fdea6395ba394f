"""Builds replication frames byte by byte, as PostgreSQL's documentation lays them out."""

import struct

EPOCH_2000_US = 946_684_800_000_000


def xlog(body: bytes, start: int = 0x100, end: int = 0x100) -> bytes:
    return b"w" + struct.pack(">QQQ", start, end, 0) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def row(*values: bytes | str | None) -> bytes:
    body = struct.pack(">H", len(values))
    for value in values:
        if value is None:
            body += b"n"
        elif isinstance(value, str):
            body += value.encode()  # a raw marker such as "u" or "b"
        else:
            body += b"t" + struct.pack(">I", len(value)) + value
    return body


def begin(final_lsn: int = 0x200, commit_us: int = EPOCH_2000_US, xid: int = 7) -> bytes:
    return xlog(b"B" + struct.pack(">QqI", final_lsn, commit_us - EPOCH_2000_US, xid))


def commit(commit_lsn: int, end_lsn: int, commit_us: int = EPOCH_2000_US) -> bytes:
    return xlog(b"C\0" + struct.pack(">QQq", commit_lsn, end_lsn, commit_us - EPOCH_2000_US))


def relation(relation_id: int, table: str, columns, schema: str = "public", identity: str = "d") -> bytes:
    body = b"R" + struct.pack(">I", relation_id) + text(schema) + text(table) + identity.encode()
    body += struct.pack(">H", len(columns))
    for name, type_oid, typmod, key in columns:
        body += bytes([1 if key else 0]) + text(name) + struct.pack(">Ii", type_oid, typmod)
    return xlog(body)


def insert(relation_id: int, *values, lsn: int = 0x150) -> bytes:
    return xlog(b"I" + struct.pack(">I", relation_id) + b"N" + row(*values), start=lsn)


def keepalive(wal_end: int, reply: bool = False) -> bytes:
    return b"k" + struct.pack(">QQB", wal_end, 0, int(reply))
