"""Every setting of Bongsu in one flat model: name, type, default, meaning, unit.

The environment name of a setting is its name in upper case; the names that the runbooks use (000 L9, L28, L31;
001 L21; 003 L12) are therefore valid as they stand there. How values get in is `ops.settings`; this module
reads nothing by itself.
"""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ops.errors import ConfigError
from ops.settings_fields import HttpUrl, Names, Servers, Switch, setting
from ops.version import version

_GENERAL = "General"
_DATABASE = "PostgreSQL and capture"
_KAFKA = "Kafka and the schema registry"
_STREAMS = "Streams"
_PUSH = "Web push"
_POSTHOG = "PostHog"
_WATCH = "Metrics and switches"


class Settings(BaseSettings):
    """All settings. Built by `ops.settings.load`; tests may build it directly from keyword arguments."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    env: str = setting(
        _GENERAL,
        "development",
        "Environment named in every log record and alert: production, staging, development or a word of your own.",
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$",
        form="one word such as production",
    )
    release: str | None = setting(
        _GENERAL, None, "Version or git SHA in every log record; unset means the version of this checkout."
    )
    log_format: Literal["auto", "json", "console"] = setting(
        _GENERAL, "auto", "Form of the log: `auto` is console on a terminal and JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warn", "error"] = setting(
        _GENERAL, "info", "Least severity that is written (runbook 004 L309: debug is off by default)."
    )
    start_timeout_s: float = setting(
        _GENERAL, 60.0, "How long a start waits for a broker or database before exit code 7.", "seconds", ge=0, le=86400
    )

    database_url: SecretStr | None = setting(
        _DATABASE,
        None,
        "PostgreSQL connection (URI or key=value form); sslmode, sslrootcert, sslcert, sslkey and every other "
        "libpq parameter pass through.",
    )
    slot_name: str = setting(
        _DATABASE,
        "bongsu",
        "Replication slot of the relay.",
        form="a-z, 0-9 and _, at most 63",
        pattern=r"^[a-z0-9_]{1,63}$",
    )
    publication_name: str = setting(
        _DATABASE,
        "bongsu",
        "Publication of the relay.",
        form="a-z, 0-9 and _, at most 63",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
    )
    dispatch_target_column: Literal["dispatch_target", "sink_type"] = setting(
        _DATABASE, "dispatch_target", "Name of the target column of user_activity_dispatch_outbox (001 L178-196)."
    )
    max_record_bytes: int = setting(
        _DATABASE,
        1_000_000,
        "Largest record that is produced; a larger row becomes FAILED and a dead letter.",
        "bytes",
        ge=1_000,
        le=1_000_000,
    )
    sweep_every_s: float = setting(
        _DATABASE, 60.0, "How often the sweeper looks for rows whose next stage has not happened.", "seconds", gt=0
    )
    sweep_after_s: float = setting(
        _DATABASE, 300.0, "Age at which such a row is emitted again, with op `r`.", "seconds", gt=0
    )

    change_reader: Literal["relay", "debezium"] = setting(
        _DATABASE,
        "relay",
        "Who reads SLOT_NAME: the built-in relay, or Debezium with the same topics and keys; then `relay` only writes "
        "progress and sweeps.",
    )

    mq_provider: Literal["kafka", "none"] = setting(
        _KAFKA, "kafka", "`none` stops publishing: rows stay PENDING, and the relay says so when it starts (001 L21)."
    )
    kafka_bootstrap_servers: Servers | None = setting(
        _KAFKA, None, "Brokers to start from, host:port, comma-separated."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        _KAFKA, "PLAINTEXT", "How brokers are spoken to."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = setting(
        _KAFKA, None, "SASL mechanism; needed with a SASL_ protocol."
    )
    kafka_sasl_username: str | None = setting(_KAFKA, None, "SASL user name.")
    kafka_sasl_password: SecretStr | None = setting(_KAFKA, None, "SASL password.")
    kafka_ssl_ca_location: Path | None = setting(
        _KAFKA, None, "PEM file of the authorities that sign the brokers' certificates; unset means the system's."
    )
    kafka_ssl_certificate_location: Path | None = setting(_KAFKA, None, "PEM file of the client certificate.")
    kafka_ssl_key_location: Path | None = setting(_KAFKA, None, "PEM file of the client certificate's key.")
    kafka_ssl_key_password: SecretStr | None = setting(_KAFKA, None, "Password of that key.")
    schema_registry_url: HttpUrl | None = setting(_KAFKA, None, "Confluent-compatible schema registry.")
    schema_registry_username: str | None = setting(_KAFKA, None, "User name for the registry.")
    schema_registry_password: SecretStr | None = setting(_KAFKA, None, "Password for the registry.")
    group_prefix: str = setting(
        _KAFKA,
        "bongsu",
        "First part of consumer groups: <prefix>-<role>.",
        form="letters, digits, '.', '_' and '-'",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
    )
    replication_factor: int = setting(
        _KAFKA, 3, "Replicas of every topic that `topics apply` creates.", "replicas", ge=1, le=15
    )
    embedded_broker: Switch = setting(
        _KAFKA,
        False,
        "The broker is librdkafka's in-memory one (the demo's): no topic settings, no durability, one replica.",
    )

    event_allowlist: Names = setting(
        _STREAMS,
        (),
        "Event names accepted beside the shipped ones, comma-separated; `*` accepts every name (001 §9-2).",
    )
    session_timeout_s: float = setting(
        _STREAMS, 6.0, "Silence after which the group gives a worker's partitions away.", "seconds", ge=1, le=300
    )
    max_poll_records: int = setting(_STREAMS, 5_000, "Most records of one batch.", "records", ge=1, le=100_000)
    watchdog_s: float = setting(
        _STREAMS,
        120.0,
        "Lag without any progress for this long ends the worker, with its stacks in the log.",
        "seconds",
        gt=0,
    )
    alert_time_scale: float = setting(
        _STREAMS, 1.0, "Factor on the durations of alert rules; below 1 only for demonstrations.", "factor", gt=0, le=1
    )

    web_push_enabled: Switch = setting(
        _PUSH, False, "1 sends, 0 blocks sending while jobs keep queueing (000 L28, L58)."
    )
    web_push_max_retry: int = setting(_PUSH, 5, "Retries of one notification (000 L31).", "retries", ge=0, le=100)
    web_push_retry_delay_ms: int = setting(
        _PUSH, 5_000, "First delay of a retry; it doubles, with jitter (000 L31).", "milliseconds", ge=1
    )
    web_push_ttl_s: int = setting(
        _PUSH,
        86_400,
        "How long a push service keeps a message for a device that is offline.",
        "seconds",
        ge=0,
        le=2_419_200,
    )
    web_push_concurrency: int = setting(_PUSH, 50, "Requests in flight at once.", "requests", ge=1, le=1_000)
    web_push_timeout_s: float = setting(_PUSH, 10.0, "Time allowed for one request.", "seconds", gt=0, le=300)
    web_push_extra_hosts: Names = setting(
        _PUSH,
        (),
        "Push services that may be spoken to beside FCM, Mozilla, Apple and Windows; comma-separated, `*.` in front "
        "means any host below.",
    )
    web_push_allow_private: Switch = setting(
        _PUSH, False, "Allow push endpoints on private addresses and other ports; for test receivers only."
    )
    web_push_ca_file: Path | None = setting(_PUSH, None, "PEM file of a test receiver's authority.")
    vapid_public_key: str | None = setting(
        _PUSH, None, "VAPID public key, base64url (000 L9); the client's NEXT_PUBLIC_VAPID_PUBLIC_KEY must equal it."
    )
    vapid_private_key: SecretStr | None = setting(_PUSH, None, "VAPID private key, base64url (000 L9).")
    vapid_subject: str | None = setting(_PUSH, None, "mailto: or https: address of the sender (000 L9).")
    vapid_previous_public_key: str | None = setting(
        _PUSH, None, "Public key of the pair before this one, for subscriptions made with it."
    )
    vapid_previous_private_key: SecretStr | None = setting(_PUSH, None, "Private key of the pair before this one.")

    posthog_enabled: Switch = setting(_POSTHOG, False, "1 sends stored events to PostHog.")
    posthog_host: HttpUrl = setting(_POSTHOG, "https://us.i.posthog.com", "PostHog's ingestion address.")
    posthog_api_key: SecretStr | None = setting(_POSTHOG, None, "Project API key.")
    posthog_batch_size: int = setting(_POSTHOG, 500, "Most events of one request.", "events", ge=1, le=10_000)
    posthog_timeout_s: float = setting(_POSTHOG, 10.0, "Time allowed for one request.", "seconds", gt=0, le=300)
    posthog_max_retry: int = setting(_POSTHOG, 10, "Retries of one event.", "retries", ge=0, le=1_000)
    posthog_retry_delay_ms: int = setting(
        _POSTHOG, 1_000, "First delay of a retry; it doubles, with jitter.", "milliseconds", ge=1
    )

    metrics_host: str = setting(_WATCH, "127.0.0.1", "Address that /metrics and /livez listen on.")
    metrics_port: int = setting(_WATCH, 0, "Their port; 0 switches them off.", "port", ge=0, le=65535)
    metrics_token: SecretStr | None = setting(
        _WATCH,
        None,
        "Bearer token that /metrics asks for (003 L11); needed when metrics_port is set.",
        form="at least 16 characters",
        min_length=16,
    )

    payments_enabled: Switch = setting(
        _WATCH,
        True,
        "State of the payment switch (003 L12). Shown as the gauge bongsu_payments_enabled; no rule of this release "
        "reads it yet.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller gives: `ops.settings.load` adds the layers, nothing is read behind one's back."""
        return (init_settings,)

    @property
    def release_name(self) -> str:
        """`release`, or the version of this checkout."""
        return self.release or version()

    @property
    def alert_speed(self) -> float:
        """By what `streams.alerts.rules.shipped_rules` divides durations: 60 for a time scale of 1/60."""
        return 1 / self.alert_time_scale

    def dsn(self) -> str:
        """The PostgreSQL connection string in the clear. Raises ConfigError when it is not set."""
        if self.database_url is None:
            raise ConfigError(
                "DATABASE_URL is not set, expected a PostgreSQL connection such as "
                "postgresql://bongsu@127.0.0.1:5432/app (without infrastructure, try ./bongsu demo)."
            )
        return self.database_url.get_secret_value()

    def brokers(self) -> str:
        """Bootstrap servers. Raises ConfigError when they are not set."""
        if self.kafka_bootstrap_servers is None:
            raise ConfigError(
                "KAFKA_BOOTSTRAP_SERVERS is not set, expected host:port of a broker "
                "(without infrastructure, try ./bongsu demo)."
            )
        return self.kafka_bootstrap_servers

    def registry(self) -> str:
        """Address of the schema registry. Raises ConfigError when it is not set."""
        if self.schema_registry_url is None:
            raise ConfigError(
                "SCHEMA_REGISTRY_URL is not set, expected the address of a schema registry such as "
                "http://127.0.0.1:8081."
            )
        return self.schema_registry_url
