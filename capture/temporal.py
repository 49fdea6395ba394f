"""PostgreSQL's date and time texts (ISO, UTC, intervals in ISO 8601) to Debezium's adaptive encodings; pure.

The replication connection pins DateStyle, TimeZone and IntervalStyle, so one spelling of each has to be read.
Years run beyond Python's datetime (4713 BC to 294276), hence the calendar arithmetic here.
"""

import re
from collections.abc import Callable
from typing import Final

_DATE: Final = re.compile(r"(\d{4,})-(\d\d)-(\d\d)( BC)?")
_TIMESTAMP: Final = re.compile(r"(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(\+00)?( BC)?")
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_OFFSET: Final = re.compile(r"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?")
_INTERVAL: Final = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)W)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?"
)
_US_PER_S: Final = 1_000_000
_US_PER_DAY: Final = 86_400 * _US_PER_S
_MICRO_INFINITY: Final = {"infinity": 9_223_372_036_825_200_000, "-infinity": -9_223_372_036_832_400_000}


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the proleptic Gregorian calendar; year 0 is 1 BC."""
    # Years start in March here, so that the leap day is the last of its year.
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _year(digits: str, before_christ: str | None) -> int:
    return 1 - int(digits) if before_christ else int(digits)


def _fraction_us(digits: str | None) -> int:
    return int(digits.ljust(6, "0")) if digits else 0


def date(raw: bytes) -> bytes:
    """`date` as days since 1970-01-01.

    Raises:
        ValueError: not a finite date.
    """
    match = _DATE.fullmatch(raw.decode())
    if match is None:
        raise ValueError(f"{raw!r} is no finite date")
    return b"%d" % days_since_epoch(_year(match[1], match[4]), int(match[2]), int(match[3]))


def timestamp(precision: int) -> Callable[[bytes], bytes]:
    """`timestamp(p)` as if UTC: milliseconds up to precision 3, else microseconds."""
    divisor = 1000 if precision <= 3 else 1

    def encode(raw: bytes) -> bytes:
        text = raw.decode()
        if text in _MICRO_INFINITY:
            return b"%d" % (_MICRO_INFINITY[text] // divisor)
        match = _TIMESTAMP.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no timestamp")
        days = days_since_epoch(_year(match[1], match[9]), int(match[2]), int(match[3]))
        seconds = (days * 24 + int(match[4])) * 3600 + int(match[5]) * 60 + int(match[6])
        return b"%d" % ((seconds * _US_PER_S + _fraction_us(match[7])) // divisor)

    return encode


def timestamptz(precision: int) -> Callable[[bytes], bytes]:
    """`timestamptz(p)` as ZonedTimestamp: UTC with Z, fraction zero-padded to the column's precision."""
    usual_length = 22 + (precision + 1 if precision else 0)

    def encode(raw: bytes) -> bytes:
        if len(raw) == usual_length and raw[-3:] == b"+00" and raw[4] == 0x2D:
            return b'"%bT%bZ"' % (raw[:10], raw[11:-3])
        return _unusual_timestamptz(raw.decode(), precision)

    return encode


def _unusual_timestamptz(text: str, precision: int) -> bytes:
    if text in _MICRO_INFINITY:
        return f'"{text}"'.encode()
    match = _TIMESTAMP.fullmatch(text)
    if match is None or match[8] is None:
        raise ValueError(f"{text!r} is no timestamp in UTC")
    year = _year(match[1], match[9])
    # ISO 8601 as Java prints it: a sign before years of more than four digits and before negative ones.
    written = f"-{-year:04d}" if year < 0 else f"+{year}" if year > 9999 else f"{year:04d}"
    fraction = f".{(match[7] or '').ljust(precision, '0')}" if precision else ""
    return f'"{written}-{match[2]}-{match[3]}T{match[4]}:{match[5]}:{match[6]}{fraction}Z"'.encode()


def _time_of_day_us(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time of day")
    return ((int(match[1]) * 60 + int(match[2])) * 60 + int(match[3])) * _US_PER_S + _fraction_us(match[4])


def time(precision: int) -> Callable[[bytes], bytes]:
    """`time(p)` since midnight: milliseconds up to precision 3, else microseconds."""
    divisor = 1000 if precision <= 3 else 1

    def encode(raw: bytes) -> bytes:
        return b"%d" % (_time_of_day_us(raw.decode()) // divisor)

    return encode


def timetz(raw: bytes) -> bytes:
    """`timetz` as ZonedTime in GMT; the fraction as short as it is."""
    text = raw.decode()
    at = max(text.rfind("+"), text.rfind("-"))
    offset = _OFFSET.fullmatch(text[at:]) if at > 0 else None
    if offset is None:
        raise ValueError(f"{text!r} is no time with a zone")
    ahead_s = int(offset[2]) * 3600 + int(offset[3] or 0) * 60 + int(offset[4] or 0)
    local_us = _time_of_day_us(text[:at])
    utc_us = (local_us - (ahead_s if offset[1] == "+" else -ahead_s) * _US_PER_S) % _US_PER_DAY
    seconds, fraction_us = divmod(utc_us, _US_PER_S)
    fraction = f".{fraction_us:06d}".rstrip("0") if fraction_us else ""
    return f'"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}Z"'.encode()


def interval(raw: bytes) -> bytes:
    """`interval` as MicroDuration: a month counts 365.25 / 12 days."""
    match = _INTERVAL.fullmatch(raw.decode())
    if match is None:
        raise ValueError(f"{raw!r} is no ISO 8601 interval")
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in match.groups()[:6])
    seconds_us = int(match[8] or 0) * _US_PER_S + _fraction_us(match[9])
    whole_days_us = (weeks * 7 + days) * _US_PER_DAY
    months_us = (years * 12 + months) * 3_652_500 * _US_PER_DAY // 120_000
    clock_us = (hours * 60 + minutes) * 60 * _US_PER_S + (-seconds_us if match[7] else seconds_us)
    return b"%d" % (months_us + whole_days_us + clock_us)
