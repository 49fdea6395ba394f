"""The claim loop: go on, wait, hold; wakes are never lost."""

import asyncio

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from sinks.store_errors import StoreRefused, StoreUnavailable
from streams.roles.claim_loop import ClaimLoop, Hold, Idle, More, Pace


class Script:
    """A step that gives prepared answers, then ends the loop; sleeps are written down."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sleeps = []

    async def step(self):
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds):
        self.sleeps.append(seconds)


async def run(script, **pace):
    loop = ClaimLoop("test", script.step, pace=Pace(**pace), sleep=script.sleep)
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await loop.run()


async def test_it_goes_on_while_there_is_more():
    script = Script(More(), More(), More())
    await run(script)
    assert script.sleeps == []


async def test_a_hold_is_slept_through_within_bounds():
    script = Script(Hold(2.5), Hold(3600.0), Hold(-1.0))
    await run(script, hold_cap_s=30.0)
    assert script.sleeps == [2.5, 30.0, 0.0]


async def test_idle_ends_by_the_timer():
    script = Script(Idle(), More())
    await run(script, poll_s=0.0)
    assert script.answers == []


async def test_an_unavailable_store_is_asked_again():
    script = Script(StoreUnavailable(None, "down"), StoreUnavailable(None, "down"), More())
    await run(script, store_retry_s=1.5)
    assert script.sleeps == [1.5, 1.5]


async def test_a_defect_ends_the_loop():
    loop = ClaimLoop("test", Script(LookupError("no table")).step)
    with pytest.raises(LookupError):
        await loop.run()


async def test_a_wake_ends_an_idle_wait_and_lingers():
    script = Script(Idle())
    loop = ClaimLoop("test", script.step, pace=Pace(poll_s=60.0, linger_s=0.25), sleep=script.sleep)
    running = asyncio.create_task(loop.run())
    while script.answers:
        await asyncio.sleep(0)
    loop.wake()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await running
    assert script.sleeps == [0.25]


async def test_a_wake_during_a_step_is_not_lost():
    script = Script(Idle(), Idle())

    async def step():
        loop.wake()
        return await script.step()

    loop = ClaimLoop("test", step, pace=Pace(poll_s=60.0), sleep=script.sleep)
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await loop.run()
    assert script.answers == []


def refusals(count):
    return [StoreRefused("22008", "out of range") for _ in range(count)]


async def test_a_store_that_refuses_is_asked_less_and_less_often_and_counted():
    name, labels = "store_refused_total", {"role": "test"}
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    script = Script(*refusals(4), More(), *refusals(1))
    await run(script, store_retry_s=1.0, refused_cap_s=5.0)
    assert script.sleeps == [1.0, 2.0, 4.0, 5.0, 1.0]
    assert REGISTRY.get_sample_value(name, labels) == before + 5


async def test_a_store_that_refuses_is_told_once_a_minute():
    times = iter([0.0, 1.0, 59.0, 60.0, 61.0])
    script = Script(*refusals(5))
    loop = ClaimLoop("test", script.step, sleep=script.sleep, clock_s=lambda: next(times))
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await loop.run()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("store.refused", "error")] * 2


@pytest.mark.parametrize("error", [StoreUnavailable(None, "down"), StoreRefused("22008", "out of range")])
async def test_a_cancelled_loop_ends_though_the_write_on_its_way_out_fails(error):
    entered = asyncio.Event()

    async def step():
        try:
            entered.set()
            await asyncio.Event().wait()
        finally:
            raise error

    running = asyncio.create_task(ClaimLoop("test", step, pace=Pace(store_retry_s=0.0)).run())
    await entered.wait()
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=2.0)
    if not ended:
        running.cancel()
    assert ended
    assert running.cancelled()
