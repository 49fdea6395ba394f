"""Settings become exactly the client configuration that they say."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from ops.errors import ConfigError
from ops.kafka_config import client_config, producer_config, reader_config, registry_config
from ops.settings_model import Settings

SECURE = Settings(
    kafka_bootstrap_servers="a:1, b:2",
    kafka_security_protocol="SASL_SSL",
    kafka_sasl_mechanism="SCRAM-SHA-512",
    kafka_sasl_username="u",
    kafka_sasl_password=SecretStr("p"),
    kafka_ssl_ca_location=Path("/ca.pem"),
    kafka_ssl_certificate_location=Path("/c.pem"),
    kafka_ssl_key_location=Path("/k.pem"),
    kafka_ssl_key_password=SecretStr("kp"),
    schema_registry_url="http://registry:8081/",
    schema_registry_username="ru",
    schema_registry_password=SecretStr("rp"),
)


def test_security_passes_through():
    config = client_config(SECURE, "relay")
    assert config["bootstrap.servers"] == "a:1,b:2"
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl.username"], config["sasl.password"]) == ("u", "p")
    assert config["ssl.ca.location"] == "/ca.pem"
    assert config["ssl.certificate.location"] == "/c.pem"
    assert (config["ssl.key.location"], config["ssl.key.password"]) == ("/k.pem", "kp")
    assert config["client.id"] == "bongsu-relay"


def test_what_is_not_set_is_left_to_the_client():
    config = client_config(Settings(kafka_bootstrap_servers="a:1"), "x")
    assert not [key for key in config if key.startswith(("ssl.", "sasl."))]


def test_a_reader_leaves_no_trace():
    config = reader_config(SECURE, "look")
    assert config["enable.auto.commit"] is False
    assert config["allow.auto.create.topics"] is False


def test_a_producer_waits_for_all_replicas_and_partitions_as_java_does():
    config = producer_config(SECURE, "x")
    assert (config["acks"], config["enable.idempotence"], config["partitioner"]) == ("all", True, "murmur2_random")


def test_the_registry_with_and_without_a_login():
    assert registry_config(SECURE)["basic.auth.user.info"] == "ru:rp"
    assert registry_config(SECURE)["url"] == "http://registry:8081"
    assert "basic.auth.user.info" not in registry_config(Settings(schema_registry_url="http://r:1"))


def test_clients_accept_the_configuration():
    from confluent_kafka import Consumer, Producer

    plain = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    Producer(producer_config(plain, "x"))
    Consumer(reader_config(plain, "x")).close()


def test_without_an_address_the_setting_is_named():
    with pytest.raises(ConfigError, match="KAFKA_BOOTSTRAP_SERVERS"):
        client_config(Settings(), "x")
    with pytest.raises(ConfigError, match="SCHEMA_REGISTRY_URL"):
        registry_config(Settings())
