"""The broker freezes or restarts under a working worker: it waits, keeps what it did, and goes on by itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.broker import Broker, start_broker
from devstack.java_libraries import JavaMissing
from devstack.kafka import Kafka, start_kafka
from tests.integration.engine.harness import Lab

pytestmark = pytest.mark.integration

LONGER_THAN_A_SESSION_S = 9


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.real)])
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple]:
    """A broker of the test's own, to be broken, and a topic on it."""
    if request.param == "embedded":
        broker: Broker | Kafka = start_broker(tmp_path, {"input": 2})
        lab = Lab(broker.bootstrap_servers, tmp_path, topic="input")
    else:
        try:
            broker = start_kafka(tmp_path)
        except JavaMissing as error:
            if request.config.getoption("--require-real"):
                pytest.fail(f"--require-real: {error}")
            pytest.skip(str(error))
        lab = Lab(broker.bootstrap_servers, tmp_path)
        lab.create_topic()
    yield broker, lab
    lab.clean_up()
    broker.stop()


def test_a_worker_outlasts_a_frozen_broker(outage):
    broker, lab = outage
    lab.produce([b"%d" % number for number in range(4000)])
    worker = lab.start(delay_s=0.1, slice_records=50)
    lab.wait_for("done", 5)
    broker.pause()
    time.sleep(LONGER_THAN_A_SESSION_S)
    broker.resume()
    lab.wait_committed(4000, limit_s=60)
    assert set(lab.done()) == set(range(4000))
    assert lab.terminate(worker) == 0


@pytest.mark.parametrize("outage", [pytest.param("kafka", marks=pytest.mark.real)], indirect=True)
def test_a_worker_outlasts_a_restarted_kafka(outage):
    broker, lab = outage
    lab.produce([b"%d" % number for number in range(4000)])
    worker = lab.start(delay_s=0.1, slice_records=50)
    lab.wait_for("done", 5)
    broker.kill()
    time.sleep(3)
    broker.start()
    lab.wait_committed(4000, limit_s=90)
    assert set(lab.done()) == set(range(4000))
    assert lab.terminate(worker) == 0


def test_a_stop_while_the_broker_is_frozen_ends(outage):
    broker, lab = outage
    lab.produce([b"%d" % number for number in range(4000)])
    worker = lab.start(delay_s=0.1, slice_records=50, finish_in_hand_s=1.0)
    lab.wait_for("done", 5)
    broker.pause()
    try:
        lab.terminate(worker, limit_s=30)
    finally:
        broker.resume()
