"""What the engine tells becomes the runbook's metrics (001 L43-44)."""

import pytest
from prometheus_client import REGISTRY

from streams.metrics import PrometheusObserver


def value(name, topic, **labels):
    return REGISTRY.get_sample_value(name, {"topic": topic, "provider": "kafka", **labels}) or 0.0


def test_refused_records_count_as_fail_and_the_rest_as_success():
    observer, topic = PrometheusObserver(), "observer.refused"
    observer.refused(topic, "not_json", 2)
    observer.refused(topic, "conflict", 1)
    observer.consumed(topic, 10, "success", 0.03)
    observer.consumed(topic, 5, "success", 0.03)
    assert value("mq_consume_count_total", topic, result="success") == 12
    assert value("mq_consume_count_total", topic, result="fail") == 3
    assert value("mq_consume_latency_count", topic) == 2
    assert value("mq_consume_latency_sum", topic) == pytest.approx(0.06)
    letters = {"topic": topic, "reason": "not_json"}
    assert REGISTRY.get_sample_value("dead_letters_written_total", letters) == 2


def test_records_of_a_failed_batch_count_as_fail_and_abandoned_ones_not_at_all():
    observer, topic = PrometheusObserver(), "observer.failed"
    observer.consumed(topic, 10, "failure", 0.03)
    observer.consumed(topic, 10, "abandoned", 0.03)
    assert value("mq_consume_count_total", topic, result="fail") == 10
    assert value("mq_consume_count_total", topic, result="success") == 0
    assert value("mq_consume_latency_count", topic) == 1


def test_retries_and_positions_are_shown():
    observer, topic = PrometheusObserver(), "observer.positions"
    observer.retried(topic, 1, 0.5)
    observer.committed(topic, 3, 120)
    assert REGISTRY.get_sample_value("engine_batches_retried_total", {"topic": topic}) == 1
    assert REGISTRY.get_sample_value("consumer_committed_offset", {"topic": topic, "partition": "3"}) == 120
