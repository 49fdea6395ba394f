"""Law: no confirmed position ever runs ahead of an unacknowledged record, under any interleaving."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from capture.position import Position, Transaction


@dataclass
class Sent:
    """A transaction as the server and Kafka know it, apart from what the code under test believes."""

    handle: Transaction
    end_lsn: int | None
    unacknowledged: int


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("row"), st.just(0)),
        st.tuples(st.just("commit"), st.integers(1, 50)),
        st.tuples(st.just("begin"), st.integers(0, 50)),
        st.tuples(st.just("acknowledge"), st.integers(0, 1_000)),
        st.tuples(st.just("keepalive"), st.integers(0, 500)),
    ),
    max_size=120,
)


class World:
    """Drives a Position as a server, a producer and a broker could, and checks it after every step."""

    def __init__(self):
        self.position = Position(100)
        self.log_end = 100
        self.sent: list[Sent] = []
        self.open: Sent | None = None

    def step(self, name, number):
        before = self.position.confirmed
        getattr(self, name)(number)
        self.check(before)

    def begin(self, gap):
        if self.open is None:
            self.log_end += gap
            self.open = Sent(self.position.begin(), None, 0)
            self.sent.append(self.open)

    def row(self, _number):
        if self.open is not None:
            self.open.handle.sent()
            self.open.unacknowledged += 1

    def commit(self, length):
        if self.open is not None:
            self.log_end += length
            self.open.end_lsn = self.log_end
            self.open.handle.committed(self.log_end)
            self.open = None

    def acknowledge(self, choice):
        waiting = [sent for sent in self.sent if sent.unacknowledged]
        if waiting:
            chosen = waiting[choice % len(waiting)]
            chosen.unacknowledged -= 1
            chosen.handle.acknowledged()

    def keepalive(self, ahead):
        # The server reports how far it has sent; with a transaction open it has not passed that one's end.
        if self.open is None:
            self.log_end += ahead
        self.position.reached(self.log_end)

    def check(self, before):
        confirmed = self.position.confirmed
        assert confirmed >= before
        assert confirmed <= self.log_end
        for sent in self.sent:
            if sent.unacknowledged or sent.end_lsn is None:
                # The server sends a transaction again only if its end lies beyond the confirmed position.
                assert sent.end_lsn is None or confirmed < sent.end_lsn
        waiting = [sent for sent in self.sent if sent.end_lsn is None or sent.unacknowledged]
        if not waiting:
            assert confirmed >= max([sent.end_lsn for sent in self.sent], default=0)
            assert self.position.outstanding == 0


@given(STEPS)
@settings(max_examples=400, deadline=None)
def test_no_confirmed_position_ahead_of_an_unacknowledged_record(steps):
    world = World()
    for name, number in steps:
        world.step(name, number)


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_everything_acknowledged_is_confirmed_to_the_last_commit(steps):
    world = World()
    for name, number in steps:
        world.step(name, number)
    world.commit(1)
    while any(sent.unacknowledged for sent in world.sent):
        world.acknowledge(0)
    ends = [sent.end_lsn for sent in world.sent]
    assert world.position.outstanding == 0
    assert world.position.confirmed >= max(ends, default=100)


@given(STEPS, STEPS)
@settings(max_examples=100, deadline=None)
def test_acknowledgements_of_an_older_run_do_not_move_the_next_one(first, second):
    old, new = World(), World()
    for name, number in first:
        old.step(name, number)
    for name, number in second:
        before = new.position.confirmed
        old.acknowledge(number)
        assert new.position.confirmed == before
        new.step(name, number)
