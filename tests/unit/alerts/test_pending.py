from schemas.progress import Progress
from streams.alerts.pending import KEPT, PendingProgress


def progress(commit_ms, end):
    return Progress("7-1", commit_ms, commit_ms, {"t": (end,)})


def reached(up_to):
    return lambda ends: ends["t"][0] <= up_to


def test_the_newest_reached_is_taken_and_what_is_older_let_go():
    pending = PendingProgress()
    for number in (1, 2, 3, 4):
        assert pending.add(progress(number, number * 10))
    assert pending.newest_reached(reached(5)) is None
    assert pending.newest_reached(reached(25)).commit_ms == 2
    assert len(pending) == 2
    assert pending.newest_reached(reached(40)).commit_ms == 4
    assert len(pending) == 0


def test_what_is_delivered_again_is_passed_over():
    pending = PendingProgress()
    assert pending.add(progress(5, 1))
    assert not pending.add(progress(5, 1))
    assert not pending.add(progress(4, 1))


def test_a_view_that_is_always_behind_still_gets_somewhere():
    """New records come faster than the view reads; the oldest kept ones are still reached, with bounded memory."""
    pending, ticks = PendingProgress(), []
    for number in range(1, 1_000):
        pending.add(progress(number, number))
        if found := pending.newest_reached(reached(number - 100)):
            ticks.append(found.commit_ms)
        assert len(pending) <= KEPT
    assert len(ticks) > 10
    assert ticks == sorted(ticks)
