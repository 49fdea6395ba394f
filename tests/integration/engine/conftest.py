"""Brokers for the engine's tests: each test runs on the embedded one and on a real Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.broker import start_broker
from devstack.java_libraries import JavaMissing
from devstack.kafka import start_kafka
from tests.integration.engine.harness import Lab

EMBEDDED_TOPICS = 40


@pytest.fixture(scope="session")
def engine_kafka(request: pytest.FixtureRequest, run_dir: Path) -> Iterator[str]:
    """Bootstrap servers of a real Kafka; skips without Java."""
    try:
        kafka = start_kafka(run_dir / "engine-kafka")
    except JavaMissing as error:
        if request.config.getoption("--require-real"):
            pytest.fail(f"--require-real: {error}")
        pytest.skip(str(error))
    yield kafka.bootstrap_servers
    kafka.stop()


@pytest.fixture(scope="session")
def engine_broker(run_dir: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Bootstrap servers of an embedded broker, and topics that nobody has used yet (it creates none later)."""
    directory = run_dir / "engine-broker"
    directory.mkdir()
    names = [f"input-{number}" for number in range(EMBEDDED_TOPICS)]
    broker = start_broker(directory, dict.fromkeys(names, 2))
    yield broker.bootstrap_servers, iter(names)
    broker.stop()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.real)])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A topic of two partitions and its workers."""
    if request.param == "embedded":
        bootstrap, topics = request.getfixturevalue("engine_broker")
        found = Lab(bootstrap, tmp_path, topic=next(topics), takes_commits_while_rebalancing=False)
    else:
        found = Lab(request.getfixturevalue("engine_kafka"), tmp_path)
        found.create_topic()
    yield found
    found.clean_up()


@pytest.fixture
def kafka_lab(engine_kafka: str, tmp_path: Path) -> Iterator[Lab]:
    """The same, on a real Kafka only."""
    found = Lab(engine_kafka, tmp_path)
    found.create_topic()
    yield found
    found.clean_up()
