"""Counters that belong to the sinks themselves. Those of the roles are in streams.metrics."""

from prometheus_client import Counter, Gauge

dispatch_circuit = Counter(
    "analytics_user_activity_dispatch_circuit",
    "Times a circuit changed to this state; a growing state=open says which target fails (001 L35-44).",
    ["state", "target"],
)

dispatch_circuit_state = Gauge(
    "analytics_user_activity_dispatch_circuit_state",
    "1 for the state that a target's circuit is in now, 0 for the others.",
    ["state", "target"],
)


def note_circuit(target: str, state: str, states: tuple[str, ...]) -> None:
    """Record that the circuit of `target` has just become `state`, one of `states`."""
    dispatch_circuit.labels(state=state, target=target).inc()
    for name in states:
        dispatch_circuit_state.labels(state=name, target=target).set(1.0 if name == state else 0.0)
