"""The devstack's PostgreSQL, of the wheel and of the system: what is committed survives everything but `discard`."""

import psycopg
import pytest

from devstack import postgres as module
from devstack.postgres import PostgresMissing, find_install, start_postgres


@pytest.fixture(
    params=[pytest.param(18, marks=pytest.mark.integration), pytest.param(15, marks=pytest.mark.real)],
    ids=["wheel-18", "system-15"],
)
def server(request):
    return request.getfixturevalue({18: "postgres", 15: "postgres15"}[request.param])


@pytest.fixture
def url(server):
    server.create_database("devstack_test")
    yield server.url("devstack_test")
    server.drop_database("devstack_test")


def run(url, statement, *, timeout_s=10):
    with psycopg.connect(url, autocommit=True, connect_timeout=timeout_s) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_settings_for_logical_replication(server, url):
    assert run(url, "SHOW wal_level") == [("logical",)]
    assert run(url, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert int(run(url, "SHOW max_replication_slots")[0][0]) >= 10
    assert run(url, "SHOW server_version_num")[0][0].startswith(str(server.version))


def test_a_wrong_password_is_refused(url):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        run(url.replace("postgres:", "postgres:x", 1).replace("x//", "//"), "SELECT 1")


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_committed_rows_survive(server, url, how):
    run(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    pid = server.pid

    if how == "kill":
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            run(url, "SELECT 1")
        server.start()
    else:
        server.restart()

    assert server.pid != pid
    assert run(url, "SELECT count(*) FROM kept") == [(1000,)]


def test_a_frozen_server_answers_nothing_and_thaws_with_its_connections(server, url):
    with psycopg.connect(url, autocommit=True) as connection:
        server.pause()
        try:
            with pytest.raises(psycopg.OperationalError, match="timeout"):
                run(url, "SELECT 1", timeout_s=2)
        finally:
            server.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_database_is_dropped_with_its_slots_and_connections(server):
    server.create_database("with_slot")
    with psycopg.connect(server.url("with_slot"), autocommit=True) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('left_behind', 'pgoutput')")

        server.drop_database("with_slot")

    assert run(server.url(), "SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'left_behind'") == []


@pytest.mark.integration
def test_two_servers_have_different_identities_and_leave_nothing(tmp_path):
    servers = [start_postgres(tmp_path / name) for name in ("one", "two")]
    try:
        statement = "SELECT system_identifier FROM pg_control_system()"
        assert len({run(server.url(), statement)[0] for server in servers}) == 2
    finally:
        for server in servers:
            server.discard()
    assert [server.data_dir.exists() for server in servers] == [False, False]


@pytest.mark.integration
def test_programs_and_data_that_the_unprivileged_user_cannot_reach(tmp_path, monkeypatch):
    """As root with everything under a closed home directory: both are put where that user gets at them."""
    real = module._open_to_all
    monkeypatch.setattr(module, "_open_to_all", lambda path: "bongsu-postgres-" in str(path) and real(path))

    server = start_postgres(tmp_path)
    try:
        assert run(server.url(), "SELECT 1") == [(1,)]
    finally:
        server.discard()
    assert not server.data_dir.exists()


def test_a_missing_version_is_named():
    with pytest.raises(PostgresMissing, match=r"PostgreSQL 7 is not installed \(found: .*18"):
        find_install(7)


@pytest.mark.integration
def test_fixture_database_is_migrated_and_fresh(database):
    assert run(database, "SELECT count(*) FROM user_activity_source_outbox") == [(0,)]
    assert run(database, "SELECT count(*) FROM push_templates") == [(6,)]
