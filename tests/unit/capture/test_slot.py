"""How failures of a slot are told apart, and how often it may be made again."""

import pytest

from capture.errors import ConfigurationRefused
from capture.slot import RecreationBudget, SlotFailure, SlotState, classify, require_logical, unswept


@pytest.mark.parametrize(
    ("sqlstate", "sentence", "failure"),
    [
        ("55006", 'replication slot "bongsu" is active for PID 7', SlotFailure.TAKEN),
        ("42704", 'replication slot "bongsu" does not exist', SlotFailure.LOST),
        ("42704", 'publication "bongsu" does not exist', SlotFailure.CONFIGURATION),
        ("55000", 'can no longer get changes from replication slot "bongsu"', SlotFailure.LOST),
        ("55000", 'logical decoding requires "wal_level" >= "logical"', SlotFailure.CONFIGURATION),
        ("42501", "permission denied to use replication slots", SlotFailure.CONFIGURATION),
        ("28P01", "password authentication failed", SlotFailure.CONFIGURATION),
        ("53300", "number of requested standby connections exceeds max_wal_senders", SlotFailure.TRANSIENT),
        ("57P01", "terminating connection due to administrator command", SlotFailure.TRANSIENT),
        (None, "server closed the connection unexpectedly", SlotFailure.TRANSIENT),
    ],
)
def test_sqlstates(sqlstate, sentence, failure):
    assert classify(sqlstate, sentence) is failure


def test_three_recreations_an_hour():
    budget = RecreationBudget(3)
    assert [budget.spend(now_s) for now_s in (0, 10, 20, 30)] == [True, True, True, False]
    assert not budget.spend(3599)
    assert budget.spend(3600)
    assert not budget.spend(3605)


def state(**changes):
    fields = {
        "slot_name": "s", "plugin": "pgoutput", "active": False, "active_pid": None, "restart_lsn": 1,
        "confirmed_flush_lsn": 2, "current_lsn": 3, "wal_status": "reserved", "safe_wal_size": None,
    }  # fmt: skip
    return SlotState(**{**fields, **changes})


def test_a_slot_is_lost_when_its_log_is_gone():
    assert not state().lost
    assert not state(wal_status="extended").lost
    assert state(wal_status="lost").lost
    assert state(confirmed_flush_lsn=None).lost


def test_the_provisional_name_fits_where_the_name_does():
    assert unswept("bongsu") == "bongsu_unswept"
    assert len(unswept("x" * 63)) == 63


class Server:
    """Answers SHOW wal_level."""

    def __init__(self, level):
        self.level = level

    def execute(self, _query):
        return self

    def fetchone(self):
        return (self.level,)


def test_a_server_that_cannot_decode_is_told_which_setting_to_change():
    require_logical(Server("logical"))
    with pytest.raises(ConfigurationRefused, match="set wal_level = logical"):
        require_logical(Server("replica"))
