"""A fresh database for every test; one embedded broker, read from where the test found it."""

import pytest

from devstack.broker import start_broker
from tests.integration.capture.rig import Rig, end_offsets


@pytest.fixture(scope="package")
def shared_broker(run_dir):
    broker = start_broker(run_dir)
    yield broker
    broker.stop()


@pytest.fixture
def broker(shared_broker):
    yield shared_broker
    shared_broker.resume()


@pytest.fixture
def make_rig(database, broker):
    """Builds rigs with settings of their own on this test's database."""

    def make(dsn=database, **settings):
        since = end_offsets(broker.bootstrap_servers)
        return Rig(dsn, broker.bootstrap_servers, since=since, **settings)

    return make


@pytest.fixture
def rig(make_rig):
    return make_rig()
