"""PostgreSQL, a broker and a schema registry as one thing to start, break and stop.

`start_embedded` needs Python packages only and takes under a second; `start_real` runs Kafka 4.1 instead of
the embedded broker and needs Java. Neither migrates the database nor, on real Kafka, creates topics: that
is for `ops.migrations` and `topics.admin`, as in production.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

from devstack.broker import Broker, start_broker
from devstack.kafka import Kafka, start_kafka
from devstack.postgres import WHEEL_VERSION, Postgres, start_postgres
from devstack.registry import Registry, start_registry

Part = Literal["broker", "postgres", "registry"]


class Stoppable(Protocol):
    """What every part can do."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """SIGKILL it."""

    def pause(self) -> None:
        """Freeze it: connections stay, nothing answers."""

    def resume(self) -> None:
        """Thaw it."""


class Stack(AbstractContextManager["Stack"]):
    """Running infrastructure; leaving the `with` block stops it."""

    def __init__(self, postgres: Postgres, broker: Broker | Kafka, registry: Registry) -> None:
        """Wrap parts that run."""
        self.postgres = postgres
        self.broker = broker
        self.registry = registry

    @property
    def database_url(self) -> str:
        """The application's database, as superuser."""
        return self.postgres.url()

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address for every Kafka client."""
        return self.broker.bootstrap_servers

    @property
    def registry_url(self) -> str:
        """The schema registry's address."""
        return self.registry.url

    @property
    def embedded(self) -> bool:
        """Whether the broker is the in-memory one."""
        return isinstance(self.broker, Broker)

    def pause(self, part: Part) -> None:
        """Freeze a part until `resume`."""
        self._part(part).pause()

    def resume(self, part: Part) -> None:
        """Thaw a part."""
        self._part(part).resume()

    def kill(self, part: Part) -> None:
        """SIGKILL a part; on PostgreSQL and real Kafka `restart` brings it back with its data."""
        self._part(part).kill()

    def restart(self, part: Literal["broker", "postgres"]) -> None:
        """Stop a part in order, or notice that it was killed, and start it on the same data and port.

        Raises ValueError for the embedded broker: it would come back empty and elsewhere.
        """
        match self._part(part):
            case Postgres() | Kafka() as restartable:
                restartable.restart()
            case _:
                raise ValueError(f"the embedded {part} forgets everything when it ends: pause it instead")

    def stop(self) -> None:
        """End all parts and delete PostgreSQL's data; safe to call twice."""
        self.broker.stop()
        self.registry.stop()
        self.postgres.discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _part(self, part: Part) -> Stoppable:
        parts: dict[Part, Stoppable] = {
            "broker": self.broker,
            "postgres": self.postgres,
            "registry": self.registry,
        }
        return parts[part]


def start_embedded(run_dir: Path) -> Stack:
    """PostgreSQL 18 of the wheel and the in-memory broker with the registry's topics.

    Raises StartFailed, PostgresMissing.
    """
    return _start(run_dir, lambda: start_broker(run_dir), WHEEL_VERSION)


def start_real(run_dir: Path, *, postgres: int) -> Stack:
    """PostgreSQL of this major version (15 or 18) and Kafka 4.1 without topics.

    Raises StartFailed, PostgresMissing, JavaMissing.
    """
    return _start(run_dir, lambda: start_kafka(run_dir), postgres)


def _start(run_dir: Path, broker: Callable[[], Broker | Kafka], postgres: int) -> Stack:
    run_dir.mkdir(parents=True, exist_ok=True)
    pool = ThreadPoolExecutor(3)
    starting_broker = pool.submit(broker)
    starting_postgres = pool.submit(start_postgres, run_dir, postgres)
    starting_registry = pool.submit(start_registry, run_dir)
    # Not a `with` block: Ctrl-C would leave it while parts are starting that nobody would ever stop.
    pool.shutdown(wait=False)
    try:
        return Stack(starting_postgres.result(), starting_broker.result(), starting_registry.result())
    except BaseException:
        if starting_postgres.exception() is None:
            starting_postgres.result().discard()
        for started in (starting_broker, starting_registry):
            if started.exception() is None:
                started.result().stop()
        raise
