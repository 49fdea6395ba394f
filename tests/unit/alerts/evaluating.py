"""The windows role without a broker: dicts for Tables, a list for the changelog, a recording publisher."""

from schemas.avro import SCHEMA_NAMES, AvroCodec
from streams.alerts.published import PublishedAlerts
from streams.alerts.rules import shipped_rules
from streams.alerts.ticker import Evaluator
from streams.windows.counting import ChangeCounter
from streams.windows.merge import View
from tests.unit.windows.changes import ATTEMPTS, PUSH_LOGS, batch_of, progress_batch, push_log

PARTITIONS = 2
CODEC = AvroCodec({name: number for number, name in enumerate(SCHEMA_NAMES, start=1)})


class ChangelogTable(dict):
    """A Table whose writes can be read by a follower."""

    def __init__(self, changelog):
        super().__init__()
        self.changelog = changelog

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.changelog.append((key, value))

    def __delitem__(self, key):
        super().__delitem__(key)
        self.changelog.append((key, None))


class RecordingPublisher:
    """Keeps what was published, decoded; fails as told."""

    def __init__(self):
        self.messages = []
        self.failures = []

    async def publish_many(self, messages):
        if self.failures:
            raise self.failures.pop(0)
        self.messages += messages
        return list(range(len(messages)))

    @property
    def alerts(self):
        return [CODEC.decode("alert", message.value) for message in self.messages]


class Reader:
    """A follower that has or has not read to the end."""

    def __init__(self):
        self.questions = 0
        self.current = True

    def ask_for_present(self):
        self.questions += 1
        return self.questions

    def has_answered(self, question):
        return self.current


class Stand:
    """One worker; `restart` is a kill, after which only Tables (changelogs) and topics are left."""

    def __init__(self, time_scale=60):
        self.rules = shipped_rules(time_scale)
        self.panes, self.states = ChangelogTable([]), ChangelogTable([])
        self.publisher = RecordingPublisher()
        self.now_ms = 0
        self.generation = 0
        self.offsets = {}
        self.lsn = 1_000
        self.key = 0
        self.restart()

    def restart(self):
        self.generation += 1
        self.reader = Reader()
        self.view = View(self.rules.layout)
        self.read = 0
        published = PublishedAlerts(CODEC)
        for message in self.publisher.messages:
            published.apply(message.key, message.value)
        self.counter = ChangeCounter(self.rules.signals, self.rules.layout, self.rules.retention_ms, self.panes)
        self.evaluator = Evaluator(
            self.rules, self.view, published, (self.reader,), states=self.states, publisher=self.publisher,
            encoder=CODEC, now_ms=lambda: self.now_ms,
        )  # fmt: skip

    def follow(self):
        for key, value in self.panes.changelog[self.read :]:
            self.view.apply(key, value)
        self.read = len(self.panes.changelog)

    async def pushes(self, commit_ms, delivered, failed, partition=0):
        values = []
        for status in ["DELIVERED"] * delivered + ["FAILED"] * failed:
            self.key += 1
            self.lsn += 8
            place = {"commit_ms": commit_ms, "tx": self.key, "lsn": self.lsn, "previous": self.lsn - 4}
            values.append(push_log(self.key, status, **place))
        first = self.offsets.get(partition, 0)
        self.offsets[partition] = first + len(values)
        return await self.counter.handle(
            batch_of(PUSH_LOGS, values, first=first, partition=partition, generation=self.generation)
        )

    async def progress(self, commit_ms):
        self.now_ms = max(self.now_ms, commit_ms)
        ends = {
            PUSH_LOGS: tuple(self.offsets.get(partition, 0) for partition in range(PARTITIONS)),
            ATTEMPTS: (0,) * PARTITIONS,
        }
        return await self.evaluator.handle(progress_batch(commit_ms, ends, generation=self.generation))

    async def second(self, number, delivered, failed):
        """A second of traffic, counted, followed, and the watermark past its end."""
        await self.pushes(number * 1_000, delivered, failed, partition=number % PARTITIONS)
        self.follow()
        return await self.progress(number * 1_000 + 1)

    def log(self):
        return [(alert["status"], alert["severity"], alert["generation"]) for alert in self.publisher.alerts]
