"""A run is over only when nothing is left and nothing has moved for a while."""

import pytest

from devstack.demo.quiet import Activity, NotQuiet, Stillness, wait_until_quiet

IDLE = Activity(writing=False, unfinished_rows=0, lag=0, unread=False, moved=(5, 5))


@pytest.mark.parametrize(
    "busy",
    [
        Activity(True, 0, 0, False),
        Activity(False, 1, 0, False),
        Activity(False, 0, 1, False),
        Activity(False, 0, 0, True),
        Activity(False, 0, 0, False, blind="no broker"),
    ],
)
def test_anything_left_keeps_it_going(busy):
    stillness = Stillness(1.0)
    assert not any(stillness.over(busy, now_s) for now_s in (0.0, 2.0, 4.0))
    assert str(busy)


def test_stillness_has_to_last():
    stillness = Stillness(1.0)
    assert [stillness.over(IDLE, now_s) for now_s in (0.0, 0.5, 0.9, 1.0)] == [False, False, False, True]


def test_movement_starts_the_clock_again():
    stillness = Stillness(1.0)
    moved = Activity(False, 0, 0, False, moved=(6, 5))
    seen = [stillness.over(*look) for look in ((IDLE, 0.0), (moved, 0.9), (moved, 1.5), (moved, 2.0))]
    assert seen == [False, False, False, True]


def test_work_in_between_starts_the_clock_again():
    stillness = Stillness(1.0)
    busy = Activity(False, 3, 0, False, moved=(5, 5))
    looks = ((IDLE, 0.0), (busy, 0.9), (IDLE, 1.1), (IDLE, 2.0), (IDLE, 2.1))
    assert [stillness.over(*look) for look in looks] == [False, False, False, False, True]


def test_waiting_in_vain_says_what_was_left():
    with pytest.raises(NotQuiet, match="3 rows are not in a final state"):
        wait_until_quiet(lambda: Activity(False, 3, 0, False), timeout_s=0, every_s=0)
