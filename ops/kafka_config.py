"""Settings to librdkafka configuration, in one place for every confluent-kafka client of a process. Pure."""

from typing import Any

from ops.settings_model import Settings

_OPTIONAL = {
    "sasl.mechanism": "kafka_sasl_mechanism",
    "sasl.username": "kafka_sasl_username",
    "ssl.ca.location": "kafka_ssl_ca_location",
    "ssl.certificate.location": "kafka_ssl_certificate_location",
    "ssl.key.location": "kafka_ssl_key_location",
}


def client_config(settings: Settings, name: str) -> dict[str, Any]:
    """Bootstrap servers and security; `name` shows up in the broker's logs. Raises ConfigError without servers."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.brokers(),
        "client.id": f"{settings.group_prefix}-{name}",
        "security.protocol": settings.kafka_security_protocol,
        # librdkafka writes "connection refused" lines to stderr by itself; callers get errors as exceptions.
        "log_level": 2,
    }
    for key, field in _OPTIONAL.items():
        value = getattr(settings, field)
        if value is not None:
            config[key] = str(value)
    if settings.kafka_sasl_password is not None:
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_ssl_key_password is not None:
        config["ssl.key.password"] = settings.kafka_ssl_key_password.get_secret_value()
    return config


def reader_config(settings: Settings, name: str) -> dict[str, Any]:
    """A consumer that looks without leaving a trace: commits nothing, joins no group."""
    return {
        **client_config(settings, name),
        "group.id": f"{settings.group_prefix}-{name}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_uncommitted",
        "allow.auto.create.topics": False,
    }


def producer_config(settings: Settings, name: str) -> dict[str, Any]:
    """A producer that loses nothing silently: acks=all, idempotent, partitions as Kafka's Java client chooses."""
    return {
        **client_config(settings, name),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "compression.type": "lz4",
        "message.max.bytes": settings.max_record_bytes + 150_000,
    }


def registry_config(settings: Settings) -> dict[str, Any]:
    """Configuration of confluent-kafka's schema registry client. Raises ConfigError without an address."""
    config: dict[str, Any] = {"url": settings.registry(), "timeout": 10, "max.retries": 1}
    if settings.schema_registry_username is not None and settings.schema_registry_password is not None:
        secret = settings.schema_registry_password.get_secret_value()
        config["basic.auth.user.info"] = f"{settings.schema_registry_username}:{secret}"
    return config
