"""The closed list of the stream roles' metrics; the runbook's dotted names with underscores, as Prometheus spells them.

`analytics.user-activity.dispatch.enqueue` is exposed as `analytics_user_activity_dispatch_enqueue_total` (001 L35-44).
"""

from typing import assert_never

from prometheus_client import Counter, Gauge, Histogram

from streams.engine.observer import Result

dispatch_enqueue = Counter(
    "analytics_user_activity_dispatch_enqueue",
    "Rows put into the dispatch outbox (target POSTHOG) or into notify_jobs (target WEB_PUSH); fail: repair has to.",
    ["result", "target"],
)

dispatch_execute = Counter(
    "analytics_user_activity_dispatch_execute",
    "Deliveries tried: events to POSTHOG, messages to WEB_PUSH subscriptions.",
    ["result", "target"],
)

dispatch_retry = Counter(
    "analytics_user_activity_dispatch_retry",
    "Deliveries put off to a later time.",
    ["result", "target"],
)

mq_consume_count = Counter(
    "mq_consume_count",
    "Records consumed: success (handled), fail (refused, or the process gave up on them).",
    ["topic", "provider", "result"],
)

mq_consume_latency = Histogram(
    "mq_consume_latency",
    "Seconds from the delivery of a batch to its end, retries included.",
    ["topic", "provider"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

batches_retried = Counter(
    "engine_batches_retried",
    "Batches given to their handler again after a transient failure; steady growth says that something is down.",
    ["topic"],
)

dead_letters = Counter(
    "dead_letters_written",
    "Records written to dead-letter topics, by reason.",
    ["topic", "reason"],
)

committed_offset = Gauge(
    "consumer_committed_offset",
    "Next offset that Kafka holds for this worker's group.",
    ["topic", "partition"],
)

activity_records = Counter(
    "activity_records",
    "Records of the activity role: inserted, duplicate, redelivered, conflict, refused, skipped (no inserted fact).",
    ["topic", "result"],
)

source_marked = Counter(
    "source_marked_rows",
    "Source outbox rows seen on the topic: published (now PUBLISHED), settled (were so or FAILED), gone (no such row).",
    ["result"],
)

repair_enqueued = Counter(
    "repair_enqueued_rows",
    "Dispatch rows and jobs that the repair had to enqueue; more than none says that a hook failed.",
    ["target"],
)

claims_lost = Counter(
    "claims_lost",
    "Rows whose result was dropped because the lease had run out and another worker may have them; raise the lease.",
    ["target"],
)

store_refused = Counter(
    "store_refused",
    "Times the store refused what a claiming role asked of it: a defect in data that a person has to look for.",
    ["role"],
)

PROVIDER = "kafka"
"""Value of the `provider` tag; the runbook knows `kafka` and `none`."""

POSTHOG = "POSTHOG"
"""Target of analytics events; the value of the dispatch outbox's target column too."""

WEB_PUSH = "WEB_PUSH"
"""Target of notifications."""


class PrometheusObserver:
    """`streams.engine.observer.EngineObserver`: what the engine tells, as counters."""

    def __init__(self) -> None:
        self._refused: dict[str, int] = {}

    def consumed(self, topic: str, records: int, result: Result, latency_s: float) -> None:
        """Count the records by result; of a handled batch, those refused before this call count as fail."""
        refused = self._refused.pop(topic, 0)
        match result:
            case "success":
                mq_consume_count.labels(topic, PROVIDER, "success").inc(max(records - refused, 0))
                mq_consume_count.labels(topic, PROVIDER, "fail").inc(refused)
            case "failure":
                mq_consume_count.labels(topic, PROVIDER, "fail").inc(records)
            case "abandoned":
                return
            case _ as unreachable:
                assert_never(unreachable)
        mq_consume_latency.labels(topic, PROVIDER).observe(latency_s)

    def retried(self, topic: str, attempt: int, delay_s: float) -> None:
        """Count the retry; attempt and delay are in the engine's log."""
        batches_retried.labels(topic).inc()

    def refused(self, topic: str, reason: str, records: int) -> None:
        """Count the dead letters; `consumed` of the same batch follows."""
        self._refused[topic] = self._refused.get(topic, 0) + records
        dead_letters.labels(topic, reason).inc(records)

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """Show the committed position."""
        committed_offset.labels(topic, str(partition)).set(offset)
