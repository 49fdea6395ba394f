"""Takes the readings, one part after another; a part that cannot be reached is a finding and stops no other part."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ops.doctor import judgements
from ops.doctor.finding import Finding, Level, degraded, not_configured, ok, warning
from ops.errors import ConfigError, OperatorError
from ops.roles import ROLES, group_id
from ops.settings import Loaded
from ops.settings_files import KAFKA_FILES, PUSH_FILES, unreadable_files
from ops.settings_model import Settings
from topics.registry import captured_tables

_FILE_FIX = "put the file there and let this user read it, or correct or remove the setting"


def examine(load: Callable[[], Loaded]) -> list[Finding]:
    """All findings in a fixed order. `load` reads the settings and may raise ConfigError."""
    found = [judgements.python_version(sys.version_info[:3])]
    try:
        loaded = load()
    except ConfigError as error:
        found += [
            degraded("settings", sentence, "correct it; docs/configuration.md lists every setting")
            for sentence in error.sentences
        ]
        return [*found, _java()]
    settings = loaded.settings
    found += _settings(loaded)
    found += _part("database", lambda: _database(settings))
    found += _part("broker", lambda: _broker(settings))
    found += _part("registry", lambda: _registry(settings))
    found += [_web_push(settings), judgements.posthog(settings)]
    found += judgements.transport(settings, *_database_hosts(settings))
    return [*found, _java()]


def _part(check: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """A part that fails as a whole becomes one finding."""
    try:
        return list(look())
    except OperatorError as error:
        return [
            degraded(
                check, str(error), "start it, or correct its address; ./bongsu config show tells where it comes from"
            )
        ]


def _settings(loaded: Loaded) -> list[Finding]:
    found = [warning("settings", sentence, "rename the variable, or remove it") for sentence in loaded.warnings]
    changed = sum(origin != "default" for origin in loaded.origins.values())
    return [
        *found,
        ok("settings", f"{changed} of {len(loaded.origins)} settings are not defaults (./bongsu config show)"),
    ]


def _database(settings: Settings) -> list[Finding]:
    if settings.database_url is None:
        return [not_configured("database", "DATABASE_URL")]
    from ops import migrations
    from ops.database import by_position, connect, query

    with connect(settings, "doctor") as connection:
        (server,) = query(connection, "server")
        found = [ok("database", f"PostgreSQL {server['version']} answers"), judgements.wal_level(server["wal_level"])]
        with by_position(connection) as same:
            states = migrations.status(same, settings.dispatch_target_column)
        found.append(
            judgements.migrations([(f"{one.number} {one.name}", one.applied_at is not None) for one in states])
        )
        rows = query(connection, "publication", {"publication": settings.publication_name})
        found.append(
            judgements.publication(rows[0] if rows else None, settings.publication_name, tuple(captured_tables()))
        )
        found += judgements.slots(query(connection, "slots"), settings.slot_name, server["slot_keep_mb"])
        if all(one.applied_at is not None for one in states):
            found += judgements.backlog(query(connection, "backlog"), 2 * settings.sweep_after_s)
    return found


def _broker(settings: Settings) -> list[Finding]:
    if settings.kafka_bootstrap_servers is None:
        return [not_configured("broker", "KAFKA_BOOTSTRAP_SERVERS")]
    unreadable = unreadable_files(settings, KAFKA_FILES)
    if unreadable:
        return [degraded("broker", sentence, _FILE_FIX) for sentence in unreadable]
    from ops.cluster import group_members, partition_counts
    from ops.lag_report import group_lags
    from ops.topic_plan import planned
    from topics.plan import Configure, Conflict, Create

    count = len(partition_counts(settings, timeout_s=5.0))
    kind = "embedded broker" if settings.embedded_broker else "Kafka"
    found = [ok("broker", f"{kind} at {settings.brokers()} answers, {count} topics")]
    _, steps = planned(settings)
    found += judgements.topics(
        [step.topic for step in steps if isinstance(step, Create)],
        [step.topic for step in steps if isinstance(step, Configure)],
        [f"{step.topic} {step.reason}" for step in steps if isinstance(step, Conflict)],
    )
    names = [group_id(settings.group_prefix, role) for role in ROLES]
    found += judgements.groups(group_lags(settings), group_members(settings, names))
    return found


def _registry(settings: Settings) -> list[Finding]:
    if settings.schema_registry_url is None:
        return [not_configured("registry", "SCHEMA_REGISTRY_URL")]
    from ops.masking import mask_connection
    from ops.registry import registry_answers

    where = mask_connection(settings.schema_registry_url)
    reason = registry_answers(settings)
    if reason is None:
        return [ok("registry", f"the schema registry at {where} answers")]
    return [
        degraded(
            "registry",
            f"the schema registry at {where} does not answer: {reason}",
            "start it, or correct SCHEMA_REGISTRY_URL",
        )
    ]


def _web_push(settings: Settings) -> Finding:
    from sinks.webpush.vapid import check_vapid

    unreadable = unreadable_files(settings, PUSH_FILES)
    if unreadable:
        return degraded("web_push", unreadable[0], _FILE_FIX)
    private = settings.vapid_private_key.get_secret_value() if settings.vapid_private_key else ""
    values = (settings.vapid_public_key or "", private, settings.vapid_subject or "")
    if not any(values) and not settings.web_push_enabled:
        return not_configured("web_push", "VAPID_PUBLIC_KEY")
    return judgements.web_push(settings, check_vapid(*values))


def _database_hosts(settings: Settings) -> tuple[list[str], str | None]:
    """Hosts and sslmode of the connection string; nothing when there is none or libpq cannot read it."""
    if settings.database_url is None:
        return [], None
    import psycopg

    try:
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(settings.dsn())
    except psycopg.ProgrammingError:
        return [], None
    return str(parts.get("host") or "").split(","), parts.get("sslmode")


def _java() -> Finding:
    if shutil.which("java"):
        return Finding(
            "java", Level.INFO, f"java is there ({platform.machine()}): demo --stack real and the real suites can run"
        )
    return Finding("java", Level.INFO, "no java: only demo --stack real and the real suites need it")
