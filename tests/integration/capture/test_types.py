"""Every type of the contract as a real server sends it, through the stream and through the sweeper's way of reading."""

import json
from contextlib import closing

import pytest

from capture.encoding import encoder_for
from capture.envelope import Origin, Stamp, TableEncoder
from capture.pgoutput import Decoder, Insert
from capture.replication import ReplicationConnection
from capture.slot import ensure_publication

pytestmark = pytest.mark.integration

COLUMNS = {
    # column type: (SQL value, JSON value as debezium-contract.md §5 has it)
    "timestamp": ("'2026-01-02 03:04:05.678901'", 1767323045678901),
    "timestamp(3)": ("'2026-01-02 03:04:05.678901'", 1767323045679),
    "timestamptz": ("'2026-01-02 03:04:05.678901+09'", "2026-01-01T18:04:05.678901Z"),
    "timestamptz(3)": ("'2026-01-02 03:04:05.6+09'", "2026-01-01T18:04:05.600Z"),
    "timestamptz(0)": ("'2026-01-02 03:04:05+09'", "2026-01-01T18:04:05Z"),
    "numeric(12,2)": ("12.5", "BOI="),
    "numeric": ("123456789012345678.123", {"scale": 3, "value": "BrFOn4EvNmkr"}),
    "jsonb": ("""'{"a":1}'""", '{"a": 1}'),
    "json": ("""'{"a":1}'""", '{"a":1}'),
    "bytea": (r"'\x0102'", "AQI="),
    "date": ("'2026-01-02'", 20455),
    "text[]": ("ARRAY['x','y']", ["x", "y"]),
    "int[]": ("ARRAY[1,NULL]", [1, None]),
    "interval": ("'1 day 2 hours'", 93600000000),
    "time": ("'03:04:05'", 11045000000),
    "time(3)": ("'03:04:05.5'", 11045500),
    "timetz": ("'13:51:30.123789+02'", "11:51:30.123789Z"),
    "char(3)": ("'ab'", "ab "),
    "varchar(10)": ("'한글'", "한글"),
    "bool": ("true", True),
    "smallint": ("-1", -1),
    "bigint": ("9223372036854775807", 9223372036854775807),
    "real": ("1.1", 1.1),
    "double precision": ("1e300", 1e300),
    "uuid": ("'7432d06d-88f7-406f-bbea-890b03921dfc'", "7432d06d-88f7-406f-bbea-890b03921dfc"),
    "mood": ("'happy'", "happy"),
    "positive": ("5", 5),
    "oid": ("42", 42),
    "text": ("NULL", None),
}
NAMES = [f"c{at}" for at in range(len(COLUMNS))]
EXPECTED = {"id": 1, **{name: value for name, (_, value) in zip(NAMES, COLUMNS.values(), strict=True)}}


def make_table(rig):
    rig.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    rig.execute("CREATE DOMAIN positive AS int CHECK (value > 0)")
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(NAMES, COLUMNS, strict=True))
    rig.execute(f"CREATE TABLE every_type (id int PRIMARY KEY, {columns})")


def insert(rig):
    # The writer's own formats must not matter.
    with rig.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'; SET DateStyle = 'German'")
        values = ", ".join(value for value, _ in COLUMNS.values())
        connection.execute(f"INSERT INTO every_type VALUES (1, {values})")


def encode(relation, row, types):
    table = TableEncoder(relation, Origin("v", "cdc", "db"), None, types)
    return json.loads(table.insert(row, Stamp(0, 1, 2), 3, 4).value)["after"]


def test_every_type_through_the_stream(rig):
    make_table(rig)
    # The database's and role's defaults must not matter either.
    rig.execute(f"ALTER DATABASE \"{rig.settings.slot_name}\" SET datestyle = 'SQL, DMY'")
    with rig.connect() as connection:
        ensure_publication(connection, "every", ("every_type",))
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (rig.settings.slot_name,))
    insert(rig)
    decoder = Decoder()
    with closing(ReplicationConnection.open(rig.dsn)) as replication:
        replication.start(rig.settings.slot_name, "every")
        while True:
            frame = replication.read()
            if frame is None:
                assert replication.wait(10), "no row within 10 s"
                continue
            message = decoder.decode(frame)
            if isinstance(message, Insert):
                break
    assert encode(decoder.relations[message.relation_id], message.row, decoder.types) == EXPECTED


def test_every_builtin_type_as_the_sweeper_reads_it(rig):
    make_table(rig)
    insert(rig)
    with rig.connect() as connection:
        result = connection.execute("SELECT * FROM every_type").pgresult
        read = {
            result.fname(at).decode(): None
            if result.get_value(0, at) is None
            else json.loads(encoder_for(result.ftype(at), result.fmod(at))(bytes(result.get_value(0, at))))
            for at in range(result.nfields)
        }
    assert read == EXPECTED
