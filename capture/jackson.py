r"""JSON scalars byte for byte as Jackson writes them in Kafka Connect's JsonConverter; pure.

Bytes matter, not only values: a record's partition is a hash of its key's bytes, and relay and Debezium must
agree on it. Observed with connect-json 4.1.0 and jackson-core 2.19.0: control characters as upper-case
\u00XX, characters beyond the basic plane as an escaped surrogate pair, everything else as UTF-8; numbers as
Java's Double.toString.
"""

import re
from typing import Final

import orjson

_PLAIN: Final = bytes(code for code in range(0x20, 0x80) if code not in b'"\\')
"""Characters that stand for themselves; most columns hold nothing else."""
_SPECIAL: Final = re.compile('["\\\\\x00-\x1f\U00010000-\U0010ffff]')
_BEYOND_BASIC_PLANE: Final = re.compile("[\U00010000-\U0010ffff]")
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_FLOAT: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?")


def string(raw: bytes) -> bytes:
    """UTF-8 text as a JSON string with its quotes.

    Raises:
        ValueError: not UTF-8.
    """
    if not raw.translate(None, _PLAIN):
        return b'"' + raw + b'"'
    text = raw.decode()
    written = orjson.dumps(text)
    # orjson differs from Jackson in two rare cases only; both checks are cheaper than escaping here.
    if b"\\u" in written or (not written.isascii() and _BEYOND_BASIC_PLANE.search(text)):
        return b'"' + _SPECIAL.sub(_escape, text).encode() + b'"'
    return written


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    short = _SHORT.get(character)
    if short is not None:
        return short
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04X}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04X}\\u{0xDC00 + (code & 0x3FF):04X}"


def floating(text: str) -> bytes:
    """A float4 or float8 from PostgreSQL's shortest text, in Java's notation; NaN and infinities are quoted.

    Raises:
        ValueError: the text is no number.
    """
    if text in ("NaN", "Infinity", "-Infinity"):
        return b'"%b"' % text.encode()
    match = _FLOAT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no floating point number")
    sign, whole, fraction, exponent = match.groups()
    digits = (whole + (fraction or "")).lstrip("0")
    # The value is 0.<digits> * 10 ** point.
    point = len(digits) - len(fraction or "") + int(exponent or 0)
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0.0".encode()
    if -3 < point <= 0:
        body = "0." + "0" * -point + digits
    elif 0 < point <= 7:
        padded = digits.ljust(point, "0")
        body = f"{padded[:point]}.{padded[point:] or '0'}"
    else:
        body = f"{digits[0]}.{digits[1:] or '0'}E{point - 1}"
    return (sign + body).encode()
