"""The relay's life on PostgreSQL 15: slot made, stopped, lost, made again; the other tests run on 18."""

import pytest

from tests.integration.capture.rig import eventually

pytestmark = pytest.mark.real


def test_made_resumed_lost_and_made_again(database15, make_rig):
    rig = make_rig(database15)
    rig.insert(1)
    with rig.running():
        rig.insert(2, 3)
        eventually(lambda: rig.numbers() == [1, 2, 3], "a swept and two streamed rows")
    rig.insert(4)
    with rig.running():
        eventually(lambda: 4 in rig.numbers("c"), "the row written while stopped")
    rig.execute("SELECT pg_drop_replication_slot(%s)", rig.settings.slot_name)
    rig.insert(5)
    with rig.running():
        eventually(lambda: 5 in rig.numbers("r"), "the row written without a slot")
    assert list(dict.fromkeys(rig.numbers())) == [1, 2, 3, 4, 5]
