"""Whatever is killed or frozen on the way, at the end everything adds up."""

import time

import pytest

from devstack.demo.audit import audit
from devstack.demo.session import Options
from ops.roles import ROLES
from tests.e2e.conftest import STACKS, eventually, running_demo


def adds_up(demo):
    demo.wait_until_quiet(120)
    ledgers = demo.ledgers()
    assert [*demo.lost_sight(), *map(str, audit(ledgers))] == []
    return ledgers


@pytest.fixture(params=STACKS)
def options(request):
    return Options(**request.param, seed=11, rows=3_000, audited=True, rows_per_s=250)


def test_undisturbed_everything_adds_up_exactly(request, options):
    with running_demo(request, options) as demo:
        demo.start_traffic()
        ledgers = adds_up(demo)
        # On an overloaded machine a worker may miss its session and be started again: that must not show in the result.
        states = demo.process_states()
        assert all(state.startswith("running") for state in states.values()), states
        assert ledgers.written.outbox_rows == 3_000


def test_every_process_is_killed_once_on_the_way(request, options):
    with running_demo(request, options) as demo:
        demo.start_traffic()
        for name in ("relay", *ROLES, "activity", "push"):
            time.sleep(1.0)
            demo.kill(name)
        eventually(
            lambda: all(state.startswith("running") for state in demo.process_states().values()), 60, "all are back"
        )
        adds_up(demo)


def test_broker_and_database_freeze_and_thaw_on_the_way(request, options):
    with running_demo(request, options) as demo:
        demo.start_traffic()
        for part in ("broker", "postgres"):
            time.sleep(2.0)
            demo.faults.carry_out("break", part)
            time.sleep(4.0)
            demo.faults.carry_out("heal", part)
        adds_up(demo)
