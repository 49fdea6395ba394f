"""Column text and type to the JSON that Debezium 3.3 writes for it; pure.

Defaults of the contract (debezium-contract.md §5): time.precision.mode=adaptive,
decimal.handling.mode=precise, binary as bytes, interval as numeric. A column's encoder is chosen once per
relation. Types that are not built in are written as their text: right for enums; domains are followed to
their base type.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from capture import jackson, temporal
from capture.errors import UndecodableValue
from capture.pgoutput import Column, Type

Encode: TypeAlias = Callable[[bytes], bytes]
"""A column's text to a JSON value; ValueError if the text is not what the type promises."""

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""What stands for a TOASTed value that was not sent (`unavailable.value.placeholder`)."""


def number(raw: bytes) -> bytes:
    """Integers: PostgreSQL's text is JSON already."""
    return raw


def _ascii(raw: bytes) -> bytes:
    return b'"%b"' % raw


def _boolean(raw: bytes) -> bytes:
    return b"true" if raw == b"t" else b"false"


def _floating(raw: bytes) -> bytes:
    return jackson.floating(raw.decode())


def _binary(raw: bytes) -> bytes:
    if raw[:2] != b"\\x":
        raise ValueError("bytea is not in hex form; bytea_output is pinned to hex")
    return b'"%b"' % base64.b64encode(bytes.fromhex(raw[2:].decode()))


def _unscaled(value: int) -> bytes:
    """Base64 of Java's BigInteger.toByteArray: the shortest big-endian two's complement."""
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    return base64.b64encode(value.to_bytes(bits // 8 + 1, "big", signed=True))


def _numeric(typmod: int) -> Encode:
    if typmod < 4:
        return _variable_scale
    scale = (typmod - 4) & 0x7FF
    # The scale is an 11-bit two's complement number since PostgreSQL 15.
    scale = scale - 0x800 if scale & 0x400 else scale

    def encode(raw: bytes) -> bytes:
        digits = int(raw.replace(b".", b""))
        return b'"%b"' % _unscaled(digits if scale >= 0 else digits // 10**-scale)

    return encode


def _variable_scale(raw: bytes) -> bytes:
    whole, _, fraction = raw.partition(b".")
    return b'{"scale":%d,"value":"%b"}' % (len(fraction), _unscaled(int(whole + fraction)))


def _precision(typmod: int) -> int:
    return typmod if 0 <= typmod <= 6 else 6


_PLAIN: Final[Mapping[int, Encode]] = {
    16: _boolean,
    17: _binary,
    18: jackson.string,  # "char"
    19: jackson.string,  # name
    20: number,
    21: number,
    23: number,
    25: jackson.string,
    26: number,  # oid
    114: jackson.string,  # json
    700: _floating,
    701: _floating,
    1042: jackson.string,  # char(n), blanks kept
    1043: jackson.string,
    1082: temporal.date,
    1186: temporal.interval,
    1266: temporal.timetz,
    2950: _ascii,  # uuid
    3802: jackson.string,  # jsonb
}
_BY_TYPMOD: Final[Mapping[int, Callable[[int], Encode]]] = {
    1083: lambda typmod: temporal.time(_precision(typmod)),
    1114: lambda typmod: temporal.timestamp(_precision(typmod)),
    1184: lambda typmod: temporal.timestamptz(_precision(typmod)),
    1700: _numeric,
}
_ELEMENT_OF: Final[Mapping[int, int]] = {
    199: 114, 1000: 16, 1001: 17, 1002: 18, 1003: 19, 1005: 21, 1007: 23, 1009: 25, 1014: 1042, 1015: 1043, 1016: 20,
    1021: 700, 1022: 701, 1028: 26, 1115: 1114, 1182: 1082, 1183: 1083, 1185: 1184, 1187: 1186, 1231: 1700, 1270: 1266,
    2951: 2950, 3807: 3802,
}  # fmt: skip
_OID_OF_NAME: Final[Mapping[str, int]] = {
    "bool": 16, "bytea": 17, "char": 18, "name": 19, "int8": 20, "int2": 21, "int4": 23, "text": 25, "oid": 26,
    "json": 114, "float4": 700, "float8": 701, "bpchar": 1042, "varchar": 1043, "date": 1082, "time": 1083,
    "timestamp": 1114, "timestamptz": 1184, "interval": 1186, "timetz": 1266, "numeric": 1700, "uuid": 2950,
    "jsonb": 3802,
}  # fmt: skip


def encoder_for(type_oid: int, typmod: int, types: Mapping[int, Type] | None = None) -> Encode:
    """The encoder of a column.

    Args:
        type_oid: pg_attribute.atttypid.
        typmod: pg_attribute.atttypmod, -1 for none.
        types: what the server told of types that are not built in, for domains.
    """
    told = (types or {}).get(type_oid)
    if told is not None and told.schema == "pg_catalog":
        type_oid = _OID_OF_NAME.get(told.name, type_oid)
    if type_oid in _PLAIN:
        return _PLAIN[type_oid]
    if type_oid in _BY_TYPMOD:
        return _BY_TYPMOD[type_oid](typmod)
    if type_oid in _ELEMENT_OF:
        return _array(encoder_for(_ELEMENT_OF[type_oid], typmod))
    return jackson.string


def placeholder_for(type_oid: int) -> bytes:
    """What a TOASTed value of this type that was not sent becomes: arrays hold the placeholder, bytea encodes it."""
    element = _ELEMENT_OF.get(type_oid)
    if element is not None:
        return b"[%b]" % placeholder_for(element)
    text = base64.b64encode(UNAVAILABLE.encode()).decode() if type_oid == 17 else UNAVAILABLE
    return f'"{text}"'.encode()


def encode_column(column: Column, encode: Encode, raw: bytes) -> bytes:
    """Encode one value and name the column if it cannot be.

    Raises:
        UndecodableValue: the text is not what the column's type promises.
    """
    try:
        return encode(raw)
    except ValueError as error:
        raise UndecodableValue(f"column {column.name} (type {column.type_oid}) cannot be encoded: {error}") from error


def _array(element: Encode) -> Encode:
    def encode(raw: bytes) -> bytes:
        text = raw.decode()
        if text.startswith("["):  # bounds that do not start at 1: [2:3]={...}
            text = text[text.index("=") + 1 :]
        encoded, end = _array_items(text, 0, element)
        if end != len(text):
            raise ValueError(f"an array literal ends at {end} of {len(text)}")
        return encoded

    return encode


def _array_items(text: str, at: int, element: Encode) -> tuple[bytes, int]:
    """Encode the array literal that opens at `at`; returns the JSON and the index behind its closing brace."""
    if text[at : at + 1] != "{":
        raise ValueError("an array literal does not open with a brace")
    items: list[bytes] = []
    at += 1
    while text[at : at + 1] != "}":
        if text[at : at + 1] == "{":
            item, at = _array_items(text, at, element)
        elif text[at : at + 1] == '"':
            value, at = _quoted_item(text, at + 1)
            item = element(value.encode())
        else:
            end = at
            while end < len(text) and text[end] not in ",}":
                end += 1
            word, at = text[at:end], end
            item = b"null" if word == "NULL" else element(word.encode())
        items.append(item)
        if text[at : at + 1] == ",":
            at += 1
        elif text[at : at + 1] != "}":
            raise ValueError("an array literal does not end")
    return b"[%b]" % b",".join(items), at + 1


def _quoted_item(text: str, at: int) -> tuple[str, int]:
    characters: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
        characters.append(text[at : at + 1])
        at += 1
    if at >= len(text):
        raise ValueError("a quoted array element does not end")
    return "".join(characters), at + 1
