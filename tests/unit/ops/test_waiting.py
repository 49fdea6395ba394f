"""Waiting at start: patient, talkative, and finite."""

import pytest

from ops.errors import DependencyUnavailable
from ops.exit_codes import ExitCode
from ops.waiting import wait_until


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now_s = 100.0

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        assert seconds > 0
        self.now_s += seconds


def wait(attempt, timeout_s):
    time, said = Time(), []
    try:
        wait_until(
            "Kafka (k:9092)",
            attempt,
            timeout_s=timeout_s,
            setting="KAFKA_BOOTSTRAP_SERVERS",
            say=said.append,
            clock=time.clock,
            sleep=time.sleep,
        )
    finally:
        wait.said, wait.took_s = said, time.now_s - 100.0


def test_what_answers_at_once_is_not_talked_about():
    wait(lambda: None, 60)
    assert wait.said == []
    assert wait.took_s == 0


def test_a_late_answer_is_enough_and_every_five_seconds_there_is_a_word():
    answers = iter(["refused"] * 24 + [None])
    wait(lambda: next(answers), 60)
    assert wait.took_s == 12.0
    assert [sentence.split("(")[2] for sentence in wait.said] == [
        "0 of 60 s): refused",
        "5 of 60 s): refused",
        "10 of 60 s): refused",
    ]


def test_without_an_answer_it_ends_with_a_sentence_and_code_7():
    with pytest.raises(
        DependencyUnavailable, match=r"Kafka \(k:9092\) did not answer within 30 s: refused.*KAFKA_BOOT"
    ) as caught:
        wait(lambda: "refused", 30)
    assert caught.value.exit_code == ExitCode.UNAVAILABLE == 7
    assert wait.took_s == 30


def test_a_time_out_of_zero_still_tries_once():
    wait(lambda: None, 0)
    with pytest.raises(DependencyUnavailable):
        wait(lambda: "no", 0)
