"""Column encodings: the values that Debezium 3.3.1 was observed to write, and the edges of each type."""

import base64

import pytest

from capture.encoding import encode_column, encoder_for, placeholder_for
from capture.errors import UndecodableValue
from capture.pgoutput import Column, Type
from capture.replication import pinned_conninfo

NUMERIC_12_2 = ((12 << 16) | 2) + 4

OBSERVED = [
    # debezium-contract.md §5, "Observed with 3.3.1.Final"; left: what PostgreSQL sends with the pinned formats
    ("timestamp", 1114, -1, b"2026-01-02 03:04:05.678901", b"1767323045678901"),
    ("timestamptz", 1184, -1, b"2026-01-01 18:04:05.678901+00", b'"2026-01-01T18:04:05.678901Z"'),
    ("numeric(12,2)", 1700, NUMERIC_12_2, b"12.50", b'"BOI="'),
    ("numeric", 1700, -1, b"123456789012345678.123", b'{"scale":3,"value":"BrFOn4EvNmkr"}'),
    ("jsonb", 3802, -1, b'{"a": 1}', b'"{\\"a\\": 1}"'),
    ("bytea", 17, -1, b"\\x0102", b'"AQI="'),
    ("date", 1082, -1, b"2026-01-02", b"20455"),
    ("text[]", 1009, -1, b"{x,y}", b'["x","y"]'),
    ("interval", 1186, -1, b"P1DT2H", b"93600000000"),
    ("time", 1083, -1, b"03:04:05", b"11045000000"),
    ("char(3)", 1042, 7, b"ab ", b'"ab "'),
]


@pytest.mark.parametrize(
    ("type_oid", "typmod", "raw", "json"), [case[1:] for case in OBSERVED], ids=[c[0] for c in OBSERVED]
)
def test_as_debezium_was_observed_to_write_it(type_oid, typmod, raw, json):
    assert encoder_for(type_oid, typmod)(raw) == json


EDGES = [
    ("bool", 16, -1, b"t", b"true"),
    ("bool", 16, -1, b"f", b"false"),
    ("int8", 20, -1, b"-9223372036854775808", b"-9223372036854775808"),
    ("uuid", 2950, -1, b"7432d06d-88f7-406f-bbea-890b03921dfc", b'"7432d06d-88f7-406f-bbea-890b03921dfc"'),
    ("timestamp(3) in ms", 1114, 3, b"2026-01-02 03:04:05.678", b"1767323045678"),
    ("timestamp(0) in ms", 1114, 0, b"1969-12-31 23:59:59", b"-1000"),
    ("timestamp before 1970", 1114, -1, b"1969-12-31 23:59:59.999999", b"-1"),
    ("timestamp BC", 1114, -1, b"0001-12-31 00:00:00 BC", b"-62135683200000000"),
    ("timestamp inf", 1114, -1, b"infinity", b"9223372036825200000"),
    ("timestamp -inf", 1114, -1, b"-infinity", b"-9223372036832400000"),
    ("timestamptz padded", 1184, -1, b"2016-11-04 11:51:30+00", b'"2016-11-04T11:51:30.000000Z"'),
    ("timestamptz short", 1184, -1, b"2016-11-04 11:51:30.5+00", b'"2016-11-04T11:51:30.500000Z"'),
    ("timestamptz(3)", 1184, 3, b"2016-11-04 11:51:30.12+00", b'"2016-11-04T11:51:30.120Z"'),
    ("timestamptz(0)", 1184, 0, b"2016-11-04 11:51:30+00", b'"2016-11-04T11:51:30Z"'),
    ("timestamptz far", 1184, -1, b"12345-01-02 03:04:05+00", b'"+12345-01-02T03:04:05.000000Z"'),
    ("timestamptz BC", 1184, -1, b"0044-03-15 00:00:00+00 BC", b'"-0043-03-15T00:00:00.000000Z"'),
    ("timestamptz inf", 1184, -1, b"-infinity", b'"-infinity"'),
    ("time(3) in ms", 1083, 3, b"03:04:05.678", b"11045678"),
    ("time 24:00", 1083, -1, b"24:00:00", b"86400000000"),
    ("timetz", 1266, -1, b"13:51:30.123789+02", b'"11:51:30.123789Z"'),
    ("timetz west over midnight", 1266, -1, b"23:00:00-05:30", b'"04:30:00Z"'),
    ("date before 1970", 1082, -1, b"1969-12-31", b"-1"),
    ("date leap", 1082, -1, b"2000-02-29", b"11016"),
    ("interval month", 1186, -1, b"P1M", b"2629800000000"),
    ("interval negative", 1186, -1, b"P-1DT-0.5S", b"-86400500000"),
    ("interval zero", 1186, -1, b"PT0S", b"0"),
    ("numeric zero", 1700, NUMERIC_12_2, b"0.00", b'"AA=="'),
    ("numeric -1.28", 1700, NUMERIC_12_2, b"-1.28", b'"gA=="'),
    ("numeric 1.28", 1700, NUMERIC_12_2, b"1.28", b'"AIA="'),
    ("numeric(3,-2)", 1700, ((3 << 16) | (-2 & 0x7FF)) + 4, b"12300", b'"ew=="'),
    ("bytea empty", 17, -1, b"\\x", b'""'),
    ("float8", 701, -1, b"1.5", b"1.5"),
    ("float8 whole", 701, -1, b"100", b"100.0"),
    ("float8 big", 701, -1, b"1e+16", b"1.0E16"),
    ("float8 ten million", 701, -1, b"10000000", b"1.0E7"),
    ("float8 below it", 701, -1, b"9999999.5", b"9999999.5"),
    ("float8 small", 701, -1, b"0.001", b"0.001"),
    ("float8 smaller", 701, -1, b"1e-05", b"1.0E-5"),
    ("float8 negative zero", 701, -1, b"-0", b"-0.0"),
    ("float8 digits", 701, -1, b"1.2345678901234568e+22", b"1.2345678901234568E22"),
    ("float4", 700, -1, b"123456.7", b"123456.7"),
    ("float4 max", 700, -1, b"3.4028235e+38", b"3.4028235E38"),
    ("float nan", 701, -1, b"NaN", b'"NaN"'),
    ("float -inf", 701, -1, b"-Infinity", b'"-Infinity"'),
    ("int4[]", 1007, -1, b"{1,NULL,-3}", b"[1,null,-3]"),
    ("empty array", 1007, -1, b"{}", b"[]"),
    ("array with bounds", 1007, -1, b"[2:3]={4,5}", b"[4,5]"),
    ("array in array", 1007, -1, b"{{1,2},{3,4}}", b"[[1,2],[3,4]]"),
    ("text[] quoted", 1009, -1, rb'{"a,b","c\"d\\","NULL",NULL,""}', rb'["a,b","c\"d\\","NULL",null,""]'),
    ("timestamptz[]", 1185, 3, b'{"2016-11-04 11:51:30.12+00"}', b'["2016-11-04T11:51:30.120Z"]'),
    ("unknown type", 70_000, -1, b"happy", b'"happy"'),
]


@pytest.mark.parametrize(("type_oid", "typmod", "raw", "json"), [case[1:] for case in EDGES], ids=[c[0] for c in EDGES])
def test_edges(type_oid, typmod, raw, json):
    assert encoder_for(type_oid, typmod)(raw) == json


STRINGS = [
    # jackson-core 2.19 as connect-json 4.1 uses it
    ("plain", '"plain"'),
    ('q"b\\', '"q\\"b\\\\"'),
    ("\n\t\b\f\r", '"\\n\\t\\b\\f\\r"'),
    ("\x1b\x01", '"\\u001B\\u0001"'),
    ("\x7f/<&>", '"\x7f/<&>"'),
    ("한글", '"한글"'),
    ("\U0001f600", '"\\uD83D\\uDE00"'),
    ("\\u001b", '"\\\\u001b"'),
    ('한"\U0001f600\x1f', '"한\\"\\uD83D\\uDE00\\u001F"'),
    ("\u2028", '"\u2028"'),
]


@pytest.mark.parametrize(("value", "json"), STRINGS)
def test_strings_as_jackson_escapes_them(value, json):
    assert encoder_for(25, -1)(value.encode()).decode() == json


def test_a_domain_is_encoded_as_its_base_type():
    types = {70_001: Type(70_001, "pg_catalog", "int4"), 70_002: Type(70_002, "public", "mood")}
    assert encoder_for(70_001, -1, types)(b"5") == b"5"
    assert encoder_for(70_002, -1, types)(b"sad") == b'"sad"'


def test_placeholders_of_values_that_were_not_sent():
    assert placeholder_for(25) == b'"__debezium_unavailable_value"'
    assert placeholder_for(1009) == b'["__debezium_unavailable_value"]'
    assert base64.b64decode(placeholder_for(17)) == b"__debezium_unavailable_value"


@pytest.mark.parametrize(
    ("type_oid", "raw"),
    [
        (1114, b"soon"),
        (1184, b"2026-01-02 03:04:05+09"),  # another zone than the pinned one
        (1082, b"infinity"),
        (1700, b"NaN"),
        (17, b"abc"),
        (1007, b"{1,2"),
        (1009, b'{"a'),
        (25, b"\xff"),
        (1186, b"1 day"),
        (701, b"one"),
    ],
)
def test_what_the_type_does_not_promise_names_the_column(type_oid, raw):
    column = Column("price", type_oid, -1, False)
    with pytest.raises(UndecodableValue, match="price"):
        encode_column(column, encoder_for(type_oid, -1), raw)


def test_formats_are_pinned_whatever_the_dsn_says():
    pinned = pinned_conninfo(
        "postgresql://u@h/d?options=-c%20datestyle%3DGerman&keepalives_idle=60", application_name="x"
    )
    options = pinned[pinned.index("options=") :]
    # The last setting of a name wins in PostgreSQL.
    assert options.index("datestyle=German") < options.index("DateStyle=ISO")
    assert "TimeZone=UTC" in options
    assert "keepalives_idle=60" in pinned
    assert "client_encoding=UTF8" in pinned
