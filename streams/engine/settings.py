"""What a worker's engine can be told; every figure has the reason for its default."""

from dataclasses import dataclass, field

from streams.engine.kafka_security import KafkaSecurity


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of one worker.

    Attributes:
        role: the worker's role, as dead letters and logs name it.
        group_id: consumer group, and the prefix of its changelog topics.
        bootstrap_servers: `host:port,host:port`.
        version: the release, as dead letters name it.
        session_timeout_s: 6 s is what a broker allows at least: a killed worker's partitions move after it.
        commit_interval_s: how much is redelivered after a kill, at most.
        max_poll_records: records in one slice, at most.
        fetch_max_wait_ms: how long a broker holds an idle fetch.
        retry_base_s, retry_cap_s: back-off of a transient failure.
        finish_in_hand_s: how long a stop or a rebalance waits for the slices in hand.
        commit_timeout_s: how long the last commit may take.
        watchdog_s: with lag and no progress for so long, the process dumps its stacks and exits; 0 = off.
        dead_letter_value_bytes: a dead letter's value above it is cut.
        datadir: where Faust would keep a store on disk; tables are in memory, so it stays empty.
    """

    role: str
    group_id: str
    bootstrap_servers: str
    version: str
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    session_timeout_s: float = 6.0
    heartbeat_interval_s: float = 1.5
    commit_interval_s: float = 0.5
    max_poll_records: int = 5_000
    fetch_max_wait_ms: int = 100
    retry_base_s: float = 0.2
    retry_cap_s: float = 30.0
    finish_in_hand_s: float = 10.0
    commit_timeout_s: float = 5.0
    watchdog_s: float = 120.0
    dead_letter_value_bytes: int = 900_000
    datadir: str | None = None
