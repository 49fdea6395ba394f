"""One running demo: infrastructure, receivers, the processes of Bongsu, traffic, and the ledgers of all of them.

What `./bongsu demo` and the end-to-end tests share. The order of starting is what makes the first event arrive within
seconds: all infrastructure side by side, the processes as soon as there is a schema, everything else while they import.
"""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient

from devstack.demo.arrange import arrange
from devstack.demo.environment import Addresses, process_environment
from devstack.demo.facts import read_database, unfinished
from devstack.demo.faults import Faults
from devstack.demo.figures import Figures
from devstack.demo.keys import VapidKeys, make_vapid_keys
from devstack.demo.ledger import Arrivals, Ledgers, Setting
from devstack.demo.ledger import Receivers as ReceivedLedger
from devstack.demo.lines import Lines, short
from devstack.demo.offsets import Offsets
from devstack.demo.plan import Step, members_for, plan, population
from devstack.demo.quiet import Activity, wait_until_quiet
from devstack.demo.receivers import Receivers, start_receivers
from devstack.demo.sampler import Sampler
from devstack.demo.scrape import counted_duplicates
from devstack.demo.sender import Sender
from devstack.demo.signals import uninterrupted
from devstack.demo.traffic import Bookkeeper, Traffic
from devstack.demo.witness import OUTBOX_TOPIC, Witness
from devstack.demo.writers import Writer
from devstack.http_json import HttpFailed
from devstack.ports import free_port
from devstack.stack import Stack, start_embedded, start_real
from ops import migrations
from ops.changelogs import all_topics
from ops.roles import ROLES
from ops.supervisor import ProcessSpec, Status, Supervisor
from schemas.avro import AvroCodec
from topics import admin
from topics.plan import plan as topics_plan
from topics.schema_registry import SchemaRegistry

RELAY: Final = "relay"
GROUP_PREFIX: Final = "bongsu"
TARGETS: Final = ("POSTHOG",)

_SLOT_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to run.

    Attributes:
        stack: embedded parts, or real Kafka.
        postgres: major version, with the real stack.
        seed: of population and traffic.
        rows: outbox rows to write; None for a demo without end.
        audited: whether the ledgers that an audit needs are kept.
        rows_per_s: how fast; None for as fast as possible.
        times_faster: how many times faster than in production alert rules run.
        processes: which of relay and roles to run; the tests leave some out.
        change_reader: `debezium` when the caller lets Debezium read the slot.
    """

    stack: Literal["embedded", "real"] = "embedded"
    postgres: int = 18
    seed: int = 1
    rows: int | None = None
    audited: bool = False
    rows_per_s: float | None = None
    times_faster: float = 30.0
    processes: tuple[str, ...] = (RELAY, *ROLES)
    change_reader: Literal["relay", "debezium"] = "relay"


class Demo:
    """A demo in `run_dir`; use it as a context manager.

    Args:
        options: what to run.
        run_dir: its private directory, already made.
        say: told what happens while starting, for people.
    """

    stack: Stack
    receivers: Receivers
    faults: Faults
    supervisor: Supervisor
    witness: Witness
    sampler: Sampler
    codec: AvroCodec

    def __init__(self, options: Options, run_dir: Path, say: Callable[[str], None] = lambda _sentence: None) -> None:
        self.options = options
        self.lines = Lines(run_dir)
        self.killed: set[str] = set()
        self.books = Bookkeeper(keep=options.audited)
        self.traffic: Traffic | None = None
        self._run_dir = run_dir
        self._say = say
        self._closers: list[Callable[[], None]] = []
        self._metrics_ports: dict[str, int] = {}
        self._metrics_token = secrets.token_urlsafe(24)
        self._base = datetime.now(UTC)
        self.members = population(members_for(options.rows), options.seed)

    def __enter__(self) -> "Demo":
        """Start everything but the traffic. Raises what the parts raise, with nothing left running."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.close()

    def close(self) -> None:
        """Stop everything, newest first, whatever Ctrl-C says meanwhile; safe to call twice."""
        with uninterrupted(), contextlib.ExitStack() as ending:
            if self._closers:
                self._say("stopping ...")
            for closer in self._closers:
                ending.callback(closer)
            self._closers.clear()

    def _start(self) -> None:
        self._start_infrastructure()
        keys = make_vapid_keys()
        self._prepare()
        self._start_processes(keys)
        self._arrange(keys)
        self._start_watching()
        if RELAY in self.options.processes and self.options.change_reader == "relay":
            self.wait_for_slot()

    def _start_infrastructure(self) -> None:
        self._say("starting PostgreSQL, the broker, the schema registry and the receivers")
        pool = ThreadPoolExecutor(2)
        stack = pool.submit(self._make_stack)
        self._closers.append(lambda: _stop_outcome(stack))
        receivers = pool.submit(start_receivers, self._run_dir)
        self._closers.append(lambda: _stop_outcome(receivers))
        # Not a `with` block: Ctrl-C would leave it, and what one part raises must find the other's closer in place.
        pool.shutdown(wait=False)
        self.stack = stack.result()
        self.receivers = receivers.result()

    def _make_stack(self) -> Stack:
        if self.options.stack == "embedded":
            return start_embedded(self._run_dir)
        return start_real(self._run_dir, postgres=self.options.postgres)

    def _prepare(self) -> None:
        self._say("migrating the database, making topics, registering schemas")
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            migrations.apply(connection)
        client = AdminClient(self.kafka_config())
        present = admin.present_topics(client, with_config=False)
        steps = topics_plan(all_topics(GROUP_PREFIX), present, replication_factor=1, embedded=self.stack.embedded)
        admin.apply(client, steps)
        with SchemaRegistryClient({"url": self.stack.registry_url}) as registry:
            self.codec = SchemaRegistry(registry).register_all()

    def _start_processes(self, keys: VapidKeys) -> None:
        self._say("starting " + ", ".join(self.options.processes))
        self.supervisor = Supervisor([self._spec(name, keys) for name in self.options.processes], self.lines.take)
        self._closers.append(self.supervisor.stop)
        self.supervisor.start()

    def _spec(self, name: str, keys: VapidKeys) -> ProcessSpec:
        port = self._metrics_ports[name] = free_port()
        host, _, _ = self.receivers.push_url.removeprefix("https://").partition(":")
        addresses = Addresses(
            database_url=self.stack.database_url,
            bootstrap_servers=self.stack.bootstrap_servers,
            registry_url=self.stack.registry_url,
            embedded=self.stack.embedded,
            push_host=host,
            push_ca_file=self.receivers.push_ca_file,
            posthog_url=self.receivers.posthog_url,
            vapid_public_key=keys.public,
            vapid_private_key=keys.private,
            metrics_port=port,
            metrics_token=self._metrics_token,
        )
        verb = [name] if name == RELAY else ["worker", name]
        environment = process_environment(os.environ, addresses, self.options.times_faster)
        environment["CHANGE_READER"] = self.options.change_reader
        return ProcessSpec(name, [sys.executable, "-m", "ops", *verb], environment)

    def _arrange(self, keys: VapidKeys) -> None:
        wanted = sum(len(member.subscriptions) for member in self.members)
        made = self.receivers.subscribe(wanted, keys.public)
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            self.subscriptions, self.rules = arrange(connection, self.members, made)
        expired = [one.endpoint for one in self.subscriptions if one.expires]
        self.faults = Faults(self.stack, self.receivers, expired)
        self.faults.heal_push()

    def _start_watching(self) -> None:
        reader = {**self.kafka_config(), "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self.witness = Witness(
            Consumer({**reader, "group.id": "demo-witness"}), self.codec, inputs=self.options.audited
        )
        self.witness.start()
        self._closers.append(self.witness.stop)
        self.offsets = Offsets(
            self.kafka_config(), GROUP_PREFIX, [name for name in ROLES if name in self.options.processes]
        )
        self._closers.append(self.offsets.close)
        self.sampler = Sampler(
            self.stack.database_url,
            self.offsets,
            self.witness,
            processes=self.process_states,
            faults=self.faults.present,
            duplicates=self.counted_duplicates,
        )
        self.sampler.start()
        self._closers.append(self.sampler.stop)
        self._closers.append(self._stop_traffic)
        # Newest, hence first: a frozen process cannot be asked to stop, and whoever waits for it would hold up the end.
        self._closers.append(self.faults.heal_all)

    def wait_for_slot(self) -> None:
        """Wait until the relay reads the log: what is written before that takes the sweeper's slower way."""
        deadline_s = time.monotonic() + _SLOT_WITHIN_S
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            while not connection.execute("SELECT 1 FROM pg_replication_slots WHERE active").fetchone():
                if time.monotonic() > deadline_s:
                    raise TimeoutError("the relay has not opened its slot; its last lines: " + self.tail(RELAY))
                time.sleep(0.05)

    def start_traffic(self, steps: Iterable[Step] | None = None) -> None:
        """Begin to write: the options' plan, or these steps."""
        options = self.options
        walked = plan(options.seed, self.members, self._base, options.rows) if steps is None else iter(steps)
        url = self.stack.database_url
        self._stop_traffic()
        producer = Producer({**self.kafka_config(), "acks": "all", "partitioner": "murmur2_random"})
        self.traffic = Traffic(
            walked,
            lambda committed: Writer(url, committed),
            lambda sent: Sender(producer, self.codec, url, sent),
            self.books,
            rows_per_s=options.rows_per_s,
        )
        self.traffic.start()

    def _stop_traffic(self) -> None:
        if self.traffic is not None:
            self.traffic.stop()

    def kafka_config(self) -> dict[str, Any]:
        """Configuration of any librdkafka client for this run's broker."""
        return {"bootstrap.servers": self.stack.bootstrap_servers, "log_level": 2, "client.id": "demo"}

    def process_states(self) -> dict[str, str]:
        """Process to state, with the number of restarts if there were any."""
        return {
            name: state.status.value + (f" ({state.restarts} restarts)" if state.restarts else "")
            for name, state in self.supervisor.states().items()
        }

    def given_up(self) -> list[str]:
        """Processes that the supervisor will not start again."""
        lost = (Status.CRASH_LOOP, Status.REFUSED)
        return [name for name, state in self.supervisor.states().items() if state.status in lost]

    def kill(self, name: str) -> None:
        """SIGKILL one process, as a crash would; it is started again."""
        self.killed.add(name)
        self.supervisor.kill(name)

    def tail(self, name: str, lines: int = 5) -> str:
        """The last lines of a process's log, shortened for people."""
        path = self._run_dir / f"{name}.log"
        last = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
        return " / ".join(short(name, line) for line in last) or "nothing was said"

    def troubles(self, name: str, lines: int = 20) -> str:
        """The last warnings and errors of a process, whole."""
        path = self._run_dir / f"{name}.log"
        said = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join([line for line in said if '"severity":"info"' not in line][-lines:])

    def counted_duplicates(self) -> int | None:
        """What the activity worker's own counter says; None when it was restarted or does not answer."""
        state = self.supervisor.states().get("activity")
        if state is None or state.restarts or state.pid is None:
            return None
        return counted_duplicates(self._metrics_ports["activity"], self._metrics_token)

    def figures(self) -> Figures:
        """The newest figures for the view."""
        return self.sampler.figures()

    def activity(self) -> Activity:
        """What is still going on; never raises for a part that is frozen or just coming back."""
        try:
            return self._look()
        except (psycopg.Error, KafkaException, HttpFailed) as error:
            return Activity(writing=True, unfinished_rows=0, lag=0, unread=True, blind=str(error).strip())

    def _look(self) -> Activity:
        with psycopg.connect(self.stack.database_url, autocommit=True, connect_timeout=3) as connection:
            left = unfinished(connection)
        push, posthog = self.receivers.push_stats(), self.receivers.posthog_stats()
        positions = self.witness.positions()
        ends = self.offsets.ends(positions)
        moved = (int(push["received"]), int(posthog["received"]), len(self.witness.dead_letters()))
        return Activity(
            writing=self.traffic is not None and not self.traffic.finished(),
            unfinished_rows=left.outbox + left.dispatch + left.jobs,
            lag=sum(self.offsets.lag().values()),
            unread=any(position < ends[place] for place, position in positions.items()),
            moved=moved,
        )

    def wait_until_quiet(self, timeout_s: float) -> None:
        """Wait until everything that was written has come to its end. Raises NotQuiet."""
        wait_until_quiet(self.activity, timeout_s)

    def ledgers(self) -> Ledgers:
        """All accounts as they stand now."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            database = read_database(connection)
        restarted = any(state.restarts for state in self.supervisor.states().values())
        return Ledgers(
            setting=Setting(
                outbox_topic=OUTBOX_TOPIC,
                targets=TARGETS,
                rules=self.rules,
                subscriptions=self.subscriptions,
                disturbed=bool(restarted or self.killed or self.faults.ever()),
                push_broken="push" in self.faults.ever(),
            ),
            written=self.books.written,
            arrivals=Arrivals(self.witness.arrivals(), self.counted_duplicates()),
            database=database,
            dead_letters=self.witness.dead_letters(),
            receivers=ReceivedLedger(accepted=self.receivers.accepted(), posthog=self.receivers.posthog_uuids()),
        )

    def lost_sight(self) -> list[str]:
        """Reasons for which an audit would know too little, as sentences."""
        found = [] if self.traffic is None else self.traffic.failures()
        if self.witness.gaps:
            found.append(f"witness: {self.witness.gaps} records were gone before they could be read")
        found += [f"process: {name} was given up; its last lines: {self.tail(name)}" for name in self.given_up()]
        return found


def _stop_outcome(starting: Future[Stack] | Future[Receivers]) -> None:
    """Wait for a part that may still be starting, and stop it unless it failed by itself."""
    if starting.exception() is None:
        starting.result().stop()
