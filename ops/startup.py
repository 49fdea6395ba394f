"""What a long-running process does before its work: wait for what it needs, in a fixed order."""

from collections.abc import Callable

from ops.settings_model import Settings
from ops.waiting import wait_until


def wait_for_dependencies(settings: Settings, *, database: bool, say: Callable[[str], None]) -> None:
    """Wait for the database, the broker and the registry, each for at most START_TIMEOUT_S.

    Raises ConfigError when an address is not set or a login is turned away, DependencyUnavailable when nobody answers.
    """
    from ops.cluster import broker_answers
    from ops.database import database_answers
    from ops.masking import mask_connection
    from ops.registry import registry_answers

    timeout_s = settings.start_timeout_s
    if database:
        where = mask_connection(settings.dsn())
        wait_until(
            f"PostgreSQL ({where})",
            lambda: database_answers(settings),
            timeout_s=timeout_s,
            setting="DATABASE_URL",
            say=say,
        )
    wait_until(
        f"Kafka ({settings.brokers()})",
        lambda: broker_answers(settings),
        timeout_s=timeout_s,
        setting="KAFKA_BOOTSTRAP_SERVERS",
        say=say,
    )
    wait_until(
        f"the schema registry ({mask_connection(settings.registry())})",
        lambda: registry_answers(settings),
        timeout_s=timeout_s,
        setting="SCHEMA_REGISTRY_URL",
        say=say,
    )
