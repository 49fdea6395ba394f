"""A worker process on a broker: every failure class, every way to stop, rebalances."""

import signal
import time

import pytest

from tests.integration.engine.harness import Lab, wait_until

pytestmark = pytest.mark.integration


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_every_record_is_handled_once_in_order_and_committed(lab: Lab):
    lab.produce(numbers(1000))
    lab.produce(numbers(500), partition=1)
    worker = lab.start()
    lab.wait_committed(1000)
    lab.wait_committed(500, partition=1)
    assert lab.done(0) == list(range(1000))
    assert lab.done(1) == list(range(500))
    assert lab.terminate(worker) == 0


def test_a_clean_stop_finishes_the_slice_in_hand_and_commits_everything_done(lab: Lab):
    lab.produce(numbers(5000))
    worker = lab.start(delay_s=0.4, slice_records=50)
    lab.wait_for("begun", 4)
    began_s = time.monotonic()
    assert lab.terminate(worker) == 0
    assert time.monotonic() - began_s < 8
    done = lab.done()
    assert done == list(range(len(done)))
    assert lab.committed() == len(done)
    assert len(lab.journal("begun")) == len(lab.journal("done"))


def test_poison_is_dead_lettered_and_the_rest_goes_on(lab: Lab):
    lab.produce([b"poison" if number in {13, 14, 77} else b"%d" % number for number in range(200)])
    worker = lab.start()
    lab.wait_committed(200)
    assert sorted(lab.done()) == [number for number in range(200) if number not in {13, 14, 77}]
    assert [(letter["offset"], letter["reason"]) for letter in lab.journal("letter")] == [
        (13, "poison"),
        (14, "poison"),
        (77, "poison"),
    ]
    assert lab.terminate(worker) == 0


def test_a_transient_failure_outlasts_the_session_without_losing_the_partition(lab: Lab):
    (lab.directory / "down").touch()
    lab.produce(numbers(100))
    worker = lab.start()
    lab.wait_for("begun", 3)
    time.sleep(8)  # longer than the session: only heartbeats keep the member in its group
    assert lab.committed() == 0
    (lab.directory / "down").unlink()
    lab.wait_committed(100)
    assert lab.done() == list(range(100))
    assert len({entry["generation"] for entry in lab.journal("begun")}) == 1
    assert "attempt 3 of" in lab.log()
    assert lab.terminate(worker) == 0


def test_a_stop_in_a_back_off_is_prompt_and_commits_nothing(lab: Lab):
    (lab.directory / "down").touch()
    lab.produce(numbers(10))
    worker = lab.start(retry_cap_s=600.0)
    lab.wait_for("begun", 3)
    began_s = time.monotonic()
    assert lab.terminate(worker) == 0
    assert time.monotonic() - began_s < 6
    assert lab.committed() == 0


def test_an_unknown_exception_ends_the_process_and_the_offset_stays(lab: Lab):
    lab.produce([*numbers(100), b"bug"])
    for attempt in range(2):
        worker = lab.start(slice_records=50)
        assert worker.wait(40) == 1
        assert "ZeroDivisionError" in lab.log(attempt)
        assert lab.committed() == 100
    assert lab.journal("letter") == []


def test_an_exception_in_a_background_loop_ends_the_process(lab: Lab):
    worker = lab.start()
    lab.wait_for("background")
    (lab.directory / "background-fails").touch()
    assert worker.wait(40) == 1
    assert "the claim loop lost its database" in lab.log()


def test_a_stuck_handler_is_cut_short_by_a_stop(lab: Lab):
    lab.produce([b"stuck"])
    worker = lab.start(finish_in_hand_s=1.0)
    lab.wait_for("begun")
    began_s = time.monotonic()
    assert lab.terminate(worker) == 0
    assert time.monotonic() - began_s < 8
    assert lab.committed() == 0


@pytest.mark.parametrize("value", [b"stuck", b"block"])
def test_a_stall_dumps_the_stacks_and_ends_the_process(lab: Lab, value: bytes):
    lab.produce([b"fine", value])
    worker = lab.start(watchdog_s=3.0, slice_records=1)
    assert worker.wait(40) == 1
    assert "stalled" in lab.log()
    assert "Current thread" in lab.log() or "most recent call first" in lab.log()
    assert lab.committed() <= 1


def test_partitions_move_in_mid_slice(lab: Lab):
    lab.produce(numbers(3000))
    lab.produce(numbers(3000), partition=1)
    first = lab.start(delay_s=0.05, slice_records=50)
    lab.wait_for("done", 10)
    second = lab.start(delay_s=0.05, slice_records=50)
    lab.wait_committed(3000)
    lab.wait_committed(3000, partition=1)
    assert (lab.directory / "journal-1").read_text().count('"done"') > 0, "the second worker had nothing to do"
    assert len(lab.journal("begun")) == len(lab.journal("done")), "a slice in hand was not finished"
    for partition in range(2):
        handled = lab.done(partition)
        assert set(handled) == set(range(3000))
        if lab.takes_commits_while_rebalancing:
            assert len(handled) == 3000, "a slice that was done before the move was done again after it"
    assert [lab.terminate(worker) for worker in (first, second)] == [0, 0]


def test_a_killed_workers_partitions_go_on_where_they_were_committed(lab: Lab):
    lab.produce(numbers(4000))
    lab.produce(numbers(4000), partition=1)
    doomed, other = lab.start(delay_s=0.1), lab.start(delay_s=0.1)
    lab.wait_for("done", 12)
    doomed.send_signal(signal.SIGKILL)
    lab.wait_committed(4000)
    lab.wait_committed(4000, partition=1)
    for partition in range(2):
        assert set(lab.done(partition)) == set(range(4000))
    assert lab.terminate(other) == 0


def test_slices_lost_inside_faust_are_fetched_again(lab: Lab):
    lab.produce(numbers(1000))
    lab.produce(numbers(1000), partition=1)
    worker = lab.start(lose_every=3, slice_records=50)
    for partition in range(2):
        lab.wait_committed(1000, partition)
        assert lab.done(partition) == list(range(1000))
    assert lab.terminate(worker) == 0


def test_a_stop_while_starting_is_clean(lab: Lab):
    worker = lab.start()
    wait_until(lambda: "SliceThread" in lab.log() or "ready" in lab.log(), "the start")
    assert lab.terminate(worker) in {0, -signal.SIGTERM}


def test_a_broker_that_cannot_be_reached_has_its_own_exit_code(lab: Lab):
    worker = lab.start(bootstrap_servers="127.0.0.1:9")
    assert worker.wait(40) == 7
    assert "cannot be reached" in lab.log()
