"""Waiting times between tries."""

import pytest

from sinks.retry import next_delay_s, parse_retry_after


def test_delays_double_up_to_the_cap():
    assert [next_delay_s(n, 1.0, 10.0, 0.0) * 2 for n in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_jitter_spreads_over_the_upper_half():
    assert next_delay_s(3, 1.0, 60.0, 0.0) == 2.0
    assert 3.9 < next_delay_s(3, 1.0, 60.0, 0.999) < 4.0


def test_a_huge_attempt_does_not_overflow():
    assert next_delay_s(10_000, 1.0, 60.0, 0.5) == 45.0


@pytest.mark.parametrize(
    "arguments", [(0, 1.0, 1.0, 0.0), (1, -1.0, 1.0, 0.0), (1, 1.0, -1.0, 0.0), (1, 1.0, 1.0, 1.0)]
)
def test_arguments_without_sense(arguments):
    with pytest.raises(ValueError):
        next_delay_s(*arguments)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("120", 120.0), (" 0 ", 0.0), ("-5", None), ("1.5", None), ("soon", None),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0), ("٣", None),
        ("9" * 400, 999_999_999_999.0), ("Fri, 99 Jan 2027 08:01:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_headers(header, seconds):
    assert parse_retry_after(header, 1_800_000_000.0) == seconds
