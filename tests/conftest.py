"""Fixtures for every suite: running infrastructure, and databases that are fresh for each test.

Suites that need Java or PostgreSQL 15 are skipped with a printed reason on machines without them;
`--require-real` turns that into a failure.
"""

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from devstack.java_libraries import JavaMissing
from devstack.postgres import Postgres, PostgresMissing, start_postgres
from devstack.stack import Stack, start_embedded, start_real
from ops import migrations, settings_layers
from ops.changelogs import all_topics
from topics import admin
from topics.plan import plan

TEMPLATE = "bongsu_migrated"

# A developer's own settings, and libpq's, must not reach a test, nor the processes that a test starts.
SETTINGS = {name.upper() for name in settings_layers.names()}
for variable in list(os.environ):
    if variable.removesuffix("_FILE") in SETTINGS or variable.startswith("PG"):
        del os.environ[variable]


# A suite that runs as a shell's background job inherits an ignored SIGINT, and so would every process that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --require-real."""
    parser.addoption(
        "--require-real",
        action="store_true",
        help="fail instead of skipping when Java, Maven or PostgreSQL 15 is missing",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was skipped, how often, and why."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section("skipped, and why")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} × {reason}")


def _reason(report: pytest.TestReport) -> str:
    detail = report.longrepr
    return str(detail[2] if isinstance(detail, tuple) else detail).removeprefix("Skipped: ")


def _missing(request: pytest.FixtureRequest, error: Exception) -> None:
    if request.config.getoption("--require-real"):
        pytest.fail(f"--require-real: {error}")
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's infrastructure keeps its files and logs."""
    return tmp_path_factory.mktemp("devstack")


@pytest.fixture(scope="session")
def postgres(run_dir: Path) -> Iterator[Postgres]:
    """A PostgreSQL 18 of the wheel, without a broker."""
    server = start_postgres(run_dir / "postgres-only")
    yield server
    server.discard()


@pytest.fixture(scope="session")
def postgres15(request: pytest.FixtureRequest, run_dir: Path) -> Iterator[Postgres]:
    """A PostgreSQL 15 of this machine, without a broker; skips without one."""
    try:
        server = start_postgres(run_dir / "postgres-only", 15)
    except PostgresMissing as error:
        _missing(request, error)
    else:
        yield server
        server.discard()


@pytest.fixture(scope="session")
def embedded_stack(run_dir: Path) -> Iterator[Stack]:
    """PostgreSQL 18, the embedded broker with all topics, the schema registry; migrated."""
    with start_embedded(run_dir / "embedded") as stack:
        _migrate(stack.database_url)
        yield stack


@pytest.fixture(scope="session")
def real_stack15(request: pytest.FixtureRequest, run_dir: Path) -> Iterator[Stack]:
    """Kafka 4.1 with all topics and PostgreSQL 15, migrated; skips where one is missing."""
    yield from _real_stack(request, run_dir, 15)


@pytest.fixture(scope="session")
def real_stack18(request: pytest.FixtureRequest, run_dir: Path) -> Iterator[Stack]:
    """Kafka 4.1 with all topics and PostgreSQL 18, migrated; skips where Java is missing."""
    yield from _real_stack(request, run_dir, 18)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh, migrated database on PostgreSQL 18; dropped with its slots afterwards."""
    yield from _fresh_database(postgres)


@pytest.fixture
def database15(postgres15: Postgres) -> Iterator[str]:
    """The URL of a fresh, migrated database on PostgreSQL 15; dropped with its slots afterwards."""
    yield from _fresh_database(postgres15)


def _real_stack(request: pytest.FixtureRequest, run_dir: Path, version: int) -> Iterator[Stack]:
    try:
        stack = start_real(run_dir / f"real-{version}", postgres=version)
    except (JavaMissing, PostgresMissing) as error:
        _missing(request, error)
    else:
        with stack:
            _migrate(stack.database_url)
            _create_topics(stack.bootstrap_servers)
            yield stack


def _fresh_database(server: Postgres) -> Iterator[str]:
    # Migrations run once a server; copying the migrated database is faster than migrating again.
    if server.create_database(TEMPLATE):
        _migrate(server.url(TEMPLATE))
    name = f"test_{uuid.uuid4().hex[:12]}"
    server.create_database(name, template=TEMPLATE)
    yield server.url(name)
    server.drop_database(name)


def _migrate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        migrations.apply(connection)


def _create_topics(bootstrap_servers: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    wanted = all_topics("bongsu")
    present = admin.present_topics(client, with_config=False)
    admin.apply(client, plan(wanted, present, replication_factor=1, embedded=False))
    # CreateTopics answers before every listener of the broker knows the new topics.
    deadline = time.monotonic() + 30
    while missing := {topic.name for topic in wanted} - admin.present_topics(client, with_config=False).keys():
        assert time.monotonic() < deadline, f"topics that did not appear: {sorted(missing)}"
        time.sleep(0.05)
