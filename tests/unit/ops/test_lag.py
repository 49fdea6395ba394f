"""Lag in records, seconds and bytes."""

import pytest

from ops.lag import PartitionOffsets, behind, lags, lsn_distance, next_offset, parse_lsn, partition_lag


def offsets(committed, low, end):
    return PartitionOffsets("g", "t", 0, committed, low, end)


def test_nothing_to_read_is_no_lag_whatever_the_clock_says():
    lag = partition_lag(offsets(10, 0, 10), None, 10**12)
    assert (lag.lag, lag.lag_s, lag.lost) == (0, 0.0, 0)
    assert not behind(offsets(10, 0, 10))


def test_seconds_are_the_age_of_the_record_that_is_read_next():
    lag = partition_lag(offsets(7, 0, 10), 1_000_000, 1_004_500)
    assert (lag.lag, lag.lag_s) == (3, 4.5)


def test_a_record_from_the_future_is_not_negative_lag():
    assert partition_lag(offsets(7, 0, 10), 2_000, 1_000).lag_s == 0.0


def test_seconds_are_unknown_when_the_record_could_not_be_read():
    assert partition_lag(offsets(7, 0, 10), None, 1_000).lag_s is None


def test_a_group_that_never_committed_starts_at_the_oldest_record():
    assert next_offset(offsets(None, 4, 10)) == 4
    lag = partition_lag(offsets(None, 4, 10), 0, 1_000)
    assert (lag.lag, lag.lost, lag.committed) == (6, 0, None)


def test_what_retention_removed_unread_is_counted_as_lost():
    lag = partition_lag(offsets(2, 5, 10), 0, 1_000)
    assert (lag.lag, lag.lost) == (8, 3)


def test_a_committed_offset_beyond_the_end_is_no_negative_lag():
    # The embedded broker forgets everything when it ends, a group's commits may survive elsewhere.
    assert partition_lag(offsets(20, 0, 10), None, 0).lag == 0


def test_two_groups_at_two_places_of_one_partition_each_get_their_own_age():
    one = PartitionOffsets("a", "t", 0, 5, 0, 10)
    two = PartitionOffsets("b", "t", 0, 9, 0, 10)
    first, second = lags([one, two], {(("t", 0), 5): 1_000, (("t", 0), 9): 9_000}, 10_000)
    assert (first.lag_s, second.lag_s) == (9.0, 1.0)


@pytest.mark.parametrize(("text", "value"), [("0/0", 0), ("0/FF", 255), ("16/B374D848", (0x16 << 32) + 0xB374D848)])
def test_log_sequence_numbers(text, value):
    assert parse_lsn(text) == value


def test_a_wrong_log_sequence_number_is_refused():
    with pytest.raises(ValueError, match="no log sequence number"):
        parse_lsn("16B374D848")


def test_distances_between_positions_of_the_log():
    assert lsn_distance("1/0", "0/FFFFFFFF") == 1
    assert lsn_distance("0/1", "0/2") == 0
    assert lsn_distance(None, "0/1") is None
    assert lsn_distance("0/1", None) is None
