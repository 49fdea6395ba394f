"""Capture's metrics: the runbook's names with their tags (001 L33-41) and the slot's gauges.

Dots and dashes of the runbook's names are underscores in Prometheus; a counter's name ends in `_total`.
"""

from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

PROVIDER: Final = "kafka"


class CaptureMetrics:
    """Every metric of relay, sweeper and progress writer, on one registry.

    Args:
        registry: where they are registered; once per process and registry.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.outbox_publish = Counter(
            "analytics_user_activity_outbox_publish", "Source outbox rows published.", ["result"], registry=registry
        )
        self.outbox_retry = Counter(
            "analytics_user_activity_outbox_retry", "Source outbox rows emitted again.", ["result"], registry=registry
        )
        self.mq_publish = Counter(
            "mq_publish_count", "Records published.", ["topic", "provider", "result"], registry=registry
        )
        self.dead_letters = Counter(
            "capture_dead_letters", "Rows that could not be relayed.", ["table", "reason"], registry=registry
        )
        self.unrouted_rows = Counter(
            "capture_unrouted_rows", "Rows of published tables that are not captured.", ["table"], registry=registry
        )
        self.swept_rows = Counter(
            "capture_swept_rows", "Rows emitted again by the sweeper.", ["table"], registry=registry
        )
        self.reconnects = Counter("capture_reconnects", "Streams started after a failure.", registry=registry)
        self.transactions = Counter("capture_transactions", "Transactions read.", registry=registry)
        self.slot_confirmed_lag_bytes = Gauge(
            "capture_slot_confirmed_lag_bytes", "WAL written and not confirmed by the slot.", registry=registry
        )
        self.slot_restart_lag_bytes = Gauge(
            "capture_slot_restart_lag_bytes", "WAL kept on disk for the slot.", registry=registry
        )
        self.slot_safe_wal_bytes = Gauge(
            "capture_slot_safe_wal_bytes", "WAL that may be written before the slot is lost.", registry=registry
        )
        self.slot_active = Gauge("capture_slot_active", "1 while a relay reads the slot.", registry=registry)
        self.progress_age_seconds = Gauge(
            "capture_progress_age_seconds", "Age of the newest watermark when it was written.", registry=registry
        )

    def published(self, topic: str, count: int, *, source_outbox: bool, result: str = "success") -> None:
        """Count records of one topic that Kafka took or refused."""
        self.mq_publish.labels(topic, PROVIDER, result).inc(count)
        if source_outbox:
            self.outbox_publish.labels("success" if result == "success" else "fail").inc(count)
