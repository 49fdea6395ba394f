"""What ends a demo does so once: not while it is ending already, and not where nohup forbids it."""

import os
import signal
import threading

import pytest

from devstack.demo.session import Demo, Options
from devstack.demo.signals import termination_as_interrupt, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_ends_like_ctrl_c(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with termination_as_interrupt():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_interrupts_the_end_and_ctrl_c_works_again_after_it():
    before = signal.getsignal(signal.SIGINT)
    with termination_as_interrupt(), uninterrupted():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_has_to_be_held_off():
    done = []

    def end():
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    assert done == [True]


def test_every_demo_has_a_metrics_token_of_its_own(tmp_path):
    tokens = {Demo(Options(rows=1), tmp_path)._metrics_token for _ in range(2)}
    assert len(tokens) == 2
    assert min(len(token) for token in tokens) >= 16
