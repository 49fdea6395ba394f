"""What a relay that is no superuser needs: the group role, REPLICATION, and a publication made for it."""

import pytest
from psycopg import conninfo

from capture.slot import ensure_publication
from capture.source import source_position
from tests.integration.capture.rig import OUTBOX, eventually

pytestmark = pytest.mark.integration


def test_a_login_role_with_replication_and_the_group_role_is_enough(rig, make_rig):
    user = f"relay_{rig.settings.slot_name}"
    rig.execute(f"CREATE ROLE {user} LOGIN REPLICATION PASSWORD 'secret' IN ROLE bongsu_relay")
    try:
        with rig.connect() as owner:
            ensure_publication(owner, rig.settings.publication_name, rig.settings.tables)
        plain = make_rig(conninfo.make_conninfo(rig.dsn, user=user, password="secret"), max_record_bytes=10_000)
        with plain.connect() as connection, rig.connect() as owner:
            assert source_position(connection).epoch == source_position(owner).epoch
        rig.insert(1, payload="x" * 20_000)
        with plain.running():
            rig.insert(2)
            eventually(lambda: rig.numbers() == [2], "the streamed row")
        assert rig.execute(f"SELECT status FROM {OUTBOX} ORDER BY id") == [("FAILED",), ("PENDING",)]
    finally:
        rig.execute(f"DROP ROLE {user}")
