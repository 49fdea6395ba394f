"""Panes are equal for any split into batches, any redelivery, any kill, any zombie (G3)."""

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.windows.fence import Mark
from streams.windows.fold import Contribution, Counted, adopt, fold
from streams.windows.merge import View
from streams.windows.panes import Layout
from streams.windows.signals import Series

LAYOUT = Layout(1_000)
RETENTION_MS = 10 * LAYOUT.block_ms
TOPIC = "cdc.public.dispatch_attempts"
SUMS = ("attempted", "failed")


@dataclass
class Row:
    key: str
    tx: int
    lsn: int
    commit_ms: int
    series: Series
    amounts: tuple[int, int]


@dataclass
class Transaction:
    number: int
    rows: list[Row]
    end_lsn: int = 0
    commit_ms: int = 0


def history(rng, transactions):
    """Transactions whose writes interleave in the log; some rows share an LSN, as those of one COPY do."""
    lsn, clock_ms, key = 100, 3_000_000, 0
    found = [Transaction(number, []) for number in range(transactions)]
    steps = [number for number in range(transactions) for _ in range(rng.randint(1, 4))]
    rng.shuffle(steps)
    last = {number: place for place, number in enumerate(steps)}
    committed = []
    for place, number in enumerate(steps):
        lsn += rng.randint(1, 9)
        for _ in range(rng.choice((1, 1, 1, 3))):
            key += 1
            series = Series("s", (rng.choice("ab"),))
            found[number].rows.append(Row(str(key), number, lsn, 0, series, (rng.randint(1, 5), rng.randint(0, 1))))
        if last[number] == place:
            lsn += rng.randint(1, 9)
            # Commit times may run backwards a little against commit order, and jump over block ends.
            clock_ms += rng.choice((0, 1, 700, 400_000))
            found[number].end_lsn, found[number].commit_ms = lsn, clock_ms - rng.choice((0, 0, 300))
            committed.append(found[number])
    for transaction in committed:
        for row in transaction.rows:
            row.commit_ms = transaction.commit_ms
    return committed


def produce(rng, committed, restarts):
    """One partition's log: the relay starts again now and then, from any transaction, knowing another sequence[0]."""
    log, begin = [], 0
    for restart in range(restarts + 1):
        end = len(committed) if restart == restarts else rng.randint(begin, len(committed))
        # A reader that reconnects knows the confirmed position, anywhere from the last commit's end on.
        previous = committed[begin - 1].end_lsn if begin else 1
        previous = rng.randint(previous, committed[begin].end_lsn - 1)
        for index in range(begin, end):
            transaction = committed[index]
            rows = list(transaction.rows)
            rng.shuffle(rows)
            rows.sort(key=lambda row: row.lsn)
            if index == end - 1 and restart < restarts:
                rows = rows[: rng.randint(0, len(rows))]
            log += [(row, Mark("7-1", previous, row.tx, row.lsn, row.key)) for row in rows]
            previous = transaction.end_lsn
        begin = rng.randint(0, max(0, end - 1))
    return log


def counted(log, first, end):
    return [
        Counted(offset, row.commit_ms, mark, (Contribution(row.series, SUMS, row.amounts),))
        for offset, (row, mark) in enumerate(log[first:end], start=first)
    ]


@dataclass
class Partition:
    """The log of a cdc partition, the changelog, and whoever owns it now."""

    log: list
    changelog: list = field(default_factory=list)
    generation: int = 0
    committed: int = 0

    def restored(self):
        table = {}
        for key, value in self.changelog:
            table.pop(key, None) if value is None else table.update({key: value})
        return table

    def new_owner(self):
        self.generation += 1
        return adopt(TOPIC, 0, self.generation, self.restored().items())

    def count(self, owned, first, end, *, writes=None):
        folded = fold(owned, LAYOUT, RETENTION_MS, counted(self.log, first, end), end)
        records = [*folded.writes, folded.position_write, *((key, None) for key in folded.deletes)]
        self.changelog += records[:writes]
        if writes is None:
            owned.settle(folded)
        return records


def recount(log):
    rows = {row.key: row for row, _ in log}
    panes = Counter()
    for row in rows.values():
        end_ms = -(-row.commit_ms // LAYOUT.pane_ms) * LAYOUT.pane_ms
        for name, amount in zip(SUMS, row.amounts, strict=True):
            panes[row.series, end_ms, name] += amount
    return {place: amount for place, amount in panes.items() if amount}


def read(changelog, ends_ms):
    view = View(LAYOUT)
    for key, value in changelog:
        view.apply(key, value)
    found = {}
    for series in view.series_of("s"):
        for end_ms in ends_ms:
            for name, amount in view.sums(series, end_ms, LAYOUT.pane_ms).items():
                if amount:
                    found[series, end_ms, name] = amount
    return view, found


@given(seed=st.integers(0, 2**32), transactions=st.integers(1, 12), restarts=st.integers(0, 3))
def test_any_batches_redelivery_kills_and_zombies_give_the_recount(seed, transactions, restarts):
    rng = random.Random(seed)
    log = produce(rng, history(rng, transactions), restarts)
    partition = Partition(log)
    owned = partition.new_owner()
    offset, late = 0, []
    while offset < len(log):
        end = rng.randint(offset + 1, len(log))
        what = rng.random()
        if what < 0.15:
            # Killed while writing: some of the batch's records are in the changelog, the offset has not moved.
            partition.count(owned, offset, end, writes=rng.randint(0, 3))
            owned, offset = partition.new_owner(), rng.randint(partition.committed, offset)
            continue
        if what < 0.3:
            # Frozen after its guard: the next owner takes over and this one's writes arrive at some later time.
            before = len(partition.changelog)
            late.append(partition.count(owned, offset, end))
            del partition.changelog[before:]
            owned, offset = partition.new_owner(), rng.randint(partition.committed, offset)
            continue
        partition.count(owned, offset, end)
        offset = end
        if rng.random() < 0.5:
            partition.committed = end
        if late and rng.random() < 0.5:
            partition.changelog += late.pop(0)
    for records in late:
        partition.changelog += records
    truth = recount(log)
    view, found = read(partition.changelog, {end_ms for _, end_ms, _ in truth})
    assert found == truth
    assert view.position(TOPIC, 0).next_offset == len(log)
    # And so for whoever restores from that changelog and is given everything again.
    owned = partition.new_owner()
    partition.count(owned, 0, len(log))
    assert read(partition.changelog, {end_ms for _, end_ms, _ in truth})[1] == truth


@given(seed=st.integers(0, 2**32), transactions=st.integers(1, 8))
def test_the_same_log_gives_the_same_state_whatever_the_batches(seed, transactions):
    rng = random.Random(seed)
    log = produce(rng, history(rng, transactions), 1)
    whole = Partition(log)
    whole.count(whole.new_owner(), 0, len(log))
    split = Partition(log)
    owned, offset = split.new_owner(), 0
    while offset < len(log):
        end = rng.randint(offset + 1, len(log))
        split.count(owned, offset, end)
        offset = end
    assert split.restored() == whole.restored()
