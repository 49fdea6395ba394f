"""Which signals end a demo, and how they are kept from interrupting its end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_Handler = Callable[[int, FrameType | None], None]

# SIGHUP comes when the terminal is closed; not every platform has it.
_TERMINATIONS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if isinstance(getattr(signal, name, None), signal.Signals)
)


@contextlib.contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP end a demo as Ctrl-C does; one that is ignored, as by nohup, stays ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wanted = [number for number in _TERMINATIONS if signal.getsignal(number) is not signal.SIG_IGN]
    with _handled(wanted, interrupt):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Nothing that ends a demo interrupts this block; outside the main thread no signal would anyway."""

    # Not SIG_IGN, which every child that is started meanwhile would inherit.
    def overhear(_number: int, _frame: FrameType | None) -> None:
        return

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled([signal.SIGINT, *_TERMINATIONS], overhear):
        yield


def ignore_until_exit() -> None:
    """From here on Ctrl-C and a closed terminal change nothing; SIGTERM still ends a process that hangs."""
    for number in {signal.SIGINT, *_TERMINATIONS} - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _handled(numbers: list[signal.Signals], handler: _Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
