"""Circuits at the edge: outcomes become results, changes of state become the metric."""

from prometheus_client import REGISTRY

from sinks.breaker import Admitted, Rejected, State
from sinks.circuit import Circuit
from sinks.outcomes import Delivered, Gone, Outcome, Refused, RetryAfter, Unauthorised

COUNTER = "analytics_user_activity_dispatch_circuit_total"
GAUGE = "analytics_user_activity_dispatch_circuit_state"


def run(circuit: Circuit, outcome: Outcome, times: int) -> None:
    for _ in range(times):
        admitted = circuit.admit()
        if isinstance(admitted, Admitted):
            circuit.record(admitted, outcome)


def circuit(target: str) -> tuple[Circuit, list[float]]:
    now = [0.0]
    return Circuit(target, clock=lambda: now[0], dice=lambda: 0.0), now


def test_only_retryable_failures_open_it():
    made, _ = circuit("t1")
    for outcome in (Delivered(), Refused("x"), Gone(), Unauthorised(403)):
        run(made, outcome, 50)
    assert made.breaker.state is State.CLOSED
    run(made, RetryAfter(None), 200)
    assert made.breaker.state is State.OPEN


def test_an_answer_that_was_never_asked_for_counts_as_nothing():
    made, _ = circuit("t2")
    run(made, RetryAfter(1.0, None, "auth_paused"), 100)
    assert made.breaker.state is State.CLOSED


def test_openings_are_counted_and_the_state_is_shown():
    made, now = circuit("t3")
    run(made, RetryAfter(None), 20)
    assert REGISTRY.get_sample_value(COUNTER, {"state": "open", "target": "t3"}) == 1
    assert REGISTRY.get_sample_value(GAUGE, {"state": "open", "target": "t3"}) == 1
    now[0] = 5.0
    run(made, Delivered(), 1)
    assert REGISTRY.get_sample_value(COUNTER, {"state": "half_open", "target": "t3"}) == 1
    assert REGISTRY.get_sample_value(GAUGE, {"state": "closed", "target": "t3"}) == 1
    assert REGISTRY.get_sample_value(GAUGE, {"state": "open", "target": "t3"}) == 0


def test_held_killed_and_closed_by_hand():
    made, _ = circuit("t4")
    made.hold(10.0)
    assert isinstance(made.admit(), Rejected)
    made.kill()
    assert made.breaker.state is State.KILLED
    made.force_close()
    admitted = made.admit()
    assert isinstance(admitted, Admitted)
    made.abandon(admitted)
