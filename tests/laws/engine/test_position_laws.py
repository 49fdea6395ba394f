"""Laws of the ledger: any sequence of fetch, loss, seek, acknowledgement and rebalance."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.engine.positions import Drop, Partition, Positions, SeekBack, Span, Take

WHERE = Partition("in", 0)
LOG_END = 400


@dataclass
class Held:
    """A slice that a handler has, and whether its ownership still stands."""

    ticket: int
    offsets: range
    ownership: int
    done: bool = False


@dataclass
class Reader:
    """A broker's fetch session: hands out consecutive stretches, some of which get lost on the way."""

    position: int = 0
    token: int = 0
    under_way: list[Span] = field(default_factory=list)


class Ownerships(RuleBasedStateMachine):
    """One partition, one consumer, everything that can go wrong between fetch and commit.

    The handled set says what was given to a handler and acknowledged, in any ownership.
    """

    def __init__(self) -> None:
        super().__init__()
        self.positions = Positions()
        self.positions.own([WHERE])
        self.reader = Reader()
        self.committed = 0
        self.ownership = 0
        self.started = False
        self.held: list[Held] = []
        self.handled: set[int] = set()
        self.given_now: list[int] = []

    @initialize()
    def begin(self) -> None:
        self.seek(0)

    @rule(back=st.integers(0, 60))
    def seek(self, back: int) -> None:
        """A reader may be sent anywhere at or below what is wanted: what it brings again is cut off."""
        token = self.positions.new_token(WHERE)
        wanted = self.positions.wanted(WHERE)
        self.positions.start(WHERE, self.committed, self.committed or None)
        self.reader.position = self.committed if wanted is None else max(0, wanted - back)
        self.reader.token = token
        self.started = True

    @precondition(lambda self: self.started and self.reader.position < LOG_END)
    @rule(length=st.integers(1, 30))
    def fetch(self, length: int) -> None:
        end = min(LOG_END, self.reader.position + length)
        self.reader.under_way.append(Span(self.reader.position, end, self.reader.token))
        self.reader.position = end

    @precondition(lambda self: self.started)
    @rule(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3))
    def fetch_and_deliver(self, lengths: list[int]) -> None:
        for length in lengths:
            if self.reader.position < LOG_END:
                self.fetch(length)
                self.deliver(len(self.reader.under_way) - 1)

    @precondition(lambda self: self.reader.under_way)
    @rule(which=st.integers(0, 10))
    def lose_a_slice(self, which: int) -> None:
        self.reader.under_way.pop(which % len(self.reader.under_way))

    @precondition(lambda self: self.reader.under_way)
    @rule()
    def repeat_a_slice(self) -> None:
        self.reader.under_way.append(self.reader.under_way[0])

    @precondition(lambda self: self.reader.under_way)
    @rule(which=st.integers(0, 1))
    def deliver(self, which: int) -> None:
        span = self.reader.under_way.pop(which % len(self.reader.under_way))
        match self.positions.deliver(WHERE, span):
            case Take(from_offset, ticket):
                offsets = range(max(from_offset, span.first_offset), span.next_offset)
                assert offsets, "a slice without anything new was handed over"
                self.held.append(Held(ticket, offsets, self.ownership))
                self.given_now.extend(offsets)
            case SeekBack(offset, token):
                self.reader.position, self.reader.token = offset, token
            case Drop():
                pass

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 10), then_commit=st.booleans())
    def acknowledge_and_commit(self, which: int, then_commit: bool) -> None:
        self.acknowledge(which)
        if then_commit:
            self.commit(True)

    def acknowledge(self, which: int) -> None:
        held = self.held.pop(which % len(self.held))
        counted = self.positions.acknowledge(held.ticket)
        assert counted == (held.ownership == self.ownership)
        if counted:
            self.handled.update(held.offsets)

    @rule(answered=st.booleans())
    def commit(self, answered: bool) -> None:
        offset = self.positions.committable(WHERE)
        if offset is None:
            return
        assert offset >= self.committed
        assert set(range(offset)) <= self.handled, "committed past a record that nobody handled"
        self.committed = offset
        if answered:
            self.positions.commit_done(WHERE, offset)

    @rule()
    def rebalance(self) -> None:
        self.positions.give_up([WHERE])
        self.positions.own([WHERE])
        self.ownership += 1
        self.started = False
        self.given_now = []

    @invariant()
    def each_record_is_given_once_and_in_order_within_an_ownership(self) -> None:
        assert self.given_now == sorted(set(self.given_now))
        if self.given_now:
            assert self.given_now == list(range(self.given_now[0], self.given_now[-1] + 1)), "a record was skipped"

    def teardown(self) -> None:
        """Whatever happened, an undisturbed run from here ends with everything handled and committed."""
        self.rebalance()
        self.held.clear()
        self.reader.under_way.clear()
        self.seek(0)
        while self.reader.position < LOG_END:
            self.fetch(25)
            self.deliver(0)
            self.acknowledge(0)
        self.commit(True)
        assert self.committed == LOG_END
        assert self.handled == set(range(LOG_END))


TestOwnerships = Ownerships.TestCase
TestOwnerships.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
