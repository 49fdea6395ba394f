from dataclasses import replace

import pytest

from streams.windows.fence import Blind, Fresh, Incomparable, Mark, Repeated, Seen, judge, rank

FIRST = Mark("7-1", previous_commit_lsn=100, tx_id=5, lsn=110, key="1")


def fence_at(*marks):
    fence = None
    for mark in marks:
        verdict = judge(fence, mark)
        assert isinstance(verdict, Fresh), mark
        fence = verdict.fence
    return fence


def test_the_first_change_is_fresh():
    assert fence_at(FIRST).keys == {"1"}


@pytest.mark.parametrize(
    ("mark", "by"),
    [
        (FIRST, Repeated.KEY),
        (replace(FIRST, lsn=109, key="9"), Repeated.LSN),
        (replace(FIRST, tx_id=4, previous_commit_lsn=100, lsn=999), Repeated.COMMIT),
        (replace(FIRST, tx_id=4, previous_commit_lsn=99, lsn=999), Repeated.COMMIT),
        (replace(FIRST, epoch="7-0", lsn=999, tx_id=6, previous_commit_lsn=999), Repeated.EPOCH),
    ],
)
def test_what_was_counted_is_seen(mark, by):
    assert judge(fence_at(FIRST), mark) == Seen(by)


def test_rows_of_one_copy_share_an_lsn_and_come_in_any_key_order():
    fence = fence_at(FIRST, replace(FIRST, key="9"), replace(FIRST, key="3"))
    assert fence.keys == {"1", "3", "9"}
    assert judge(fence, replace(FIRST, key="9")) == Seen(Repeated.KEY)
    assert isinstance(judge(fence, replace(FIRST, key="4")), Fresh)
    assert fence_at(FIRST, replace(FIRST, lsn=111, key="2")).keys == {"2"}


def test_another_transaction_is_judged_by_commit_order_and_never_by_lsn():
    written_before_committed_after = Mark("7-1", previous_commit_lsn=120, tx_id=4, lsn=50, key="2")
    assert isinstance(judge(fence_at(FIRST), written_before_committed_after), Fresh)


def test_a_transaction_produced_again_with_another_sequence_is_known_by_its_id():
    fence = fence_at(FIRST, replace(FIRST, lsn=115, key="2"))
    assert judge(fence, replace(FIRST, previous_commit_lsn=104, lsn=112)) == Seen(Repeated.LSN)
    onwards = judge(fence, replace(FIRST, previous_commit_lsn=90, lsn=118, key="3"))
    assert isinstance(onwards, Fresh)
    assert onwards.fence.previous_commit_lsn == 100, "the greatest met, so that fences only grow"


def test_a_new_epoch_begins_a_new_fence_and_the_old_one_stays_behind():
    promoted = Mark("7-2", previous_commit_lsn=50, tx_id=3, lsn=60, key="1")
    fence = fence_at(FIRST, promoted)
    assert (fence.epoch, fence.left, fence.epochs_left) == ("7-2", ("7-1",), 1)
    assert judge(fence, replace(FIRST, previous_commit_lsn=999, tx_id=9)) == Seen(Repeated.EPOCH)
    assert rank(fence) > rank(fence_at(FIRST))


def test_another_system_is_new_once_and_old_when_left():
    other = Mark("8-1", previous_commit_lsn=1, tx_id=1, lsn=2, key="1")
    fence = fence_at(FIRST, other)
    assert judge(fence, FIRST) == Seen(Repeated.EPOCH)


def test_a_relay_without_epoch_header_is_an_epoch_of_its_own():
    fence = fence_at(FIRST, replace(FIRST, epoch=""))
    assert fence.left == ("7-1",)
    assert judge(fence, FIRST) == Seen(Repeated.EPOCH)


def test_epochs_left_are_remembered_up_to_a_bound_and_counted_without():
    fence = fence_at(*(replace(FIRST, epoch=f"{number}-1") for number in range(20)))
    assert len(fence.left) == 8
    assert fence.epochs_left == 19


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (replace(FIRST, previous_commit_lsn=None), Blind.NO_PREVIOUS_COMMIT),
        (replace(FIRST, tx_id=None), Blind.NO_TRANSACTION),
    ],
)
@pytest.mark.parametrize("fence", [None, fence_at(FIRST)])
def test_what_cannot_be_compared_is_an_alarm(mark, why, fence):
    assert judge(fence, mark) == Incomparable(why)
