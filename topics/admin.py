"""Reads a cluster's topics and applies a plan to it; the I/O behind `topics.plan`.

Errors: `ClusterUnavailable` when no broker answers in time, `ApplyFailed` when a step was refused.
"""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from topics.plan import Configure, Create, Present, Step

_TIMEOUT_S: Final = 10.0
_VISIBLE_EVERY_S: Final = 0.05


class ClusterUnavailable(Exception):
    """No broker answered; the sentence names the address that was tried."""


class ApplyFailed(Exception):
    """The cluster refused a step; the sentence names the topic and the broker's reason."""


def present_topics(admin: AdminClient, *, with_config: bool, timeout_s: float = _TIMEOUT_S) -> dict[str, Present]:
    """Every topic that the cluster has, by name.

    Args:
        with_config: also read each topic's settings (the embedded broker has none).

    Raises:
        ClusterUnavailable: no answer within `timeout_s`.
    """
    try:
        found = {
            name: len(topic.partitions)
            for name, topic in admin.list_topics(timeout=timeout_s).topics.items()
            if topic.error is None
        }
    except KafkaException as error:
        raise ClusterUnavailable(f"no Kafka broker answered within {timeout_s:.0f} s: {error}") from error
    configs = _configs(admin, found, timeout_s) if with_config and found else {}
    return {name: Present(partitions, configs.get(name)) for name, partitions in found.items()}


def apply(admin: AdminClient, steps: Iterable[Step], timeout_s: float = _TIMEOUT_S) -> list[Step]:
    """Carry out the steps that change something; conflicts and ignored steps are left to the caller.

    Returns:
        the steps that were carried out.

    Raises:
        ApplyFailed: a step was refused.
    """
    done: list[Step] = []
    for step in steps:
        match step:
            case Create():
                new = NewTopic(step.topic, step.partitions, step.replication_factor, config=dict(step.config))
                _wait(admin.create_topics([new], request_timeout=timeout_s), step.topic)
                _await_visible(admin, step.topic, timeout_s)
                done.append(step)
            case Configure():
                _wait(admin.incremental_alter_configs([_resource(step)], request_timeout=timeout_s), step.topic)
                done.append(step)
            case _:
                continue
    return done


def _await_visible(admin: AdminClient, topic: str, timeout_s: float) -> None:
    """CreateTopics answers before every listener of the broker knows the topic; a worker started now would miss it."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if admin.list_topics(timeout=timeout_s).topics.get(topic) is not None:
            return
        time.sleep(_VISIBLE_EVERY_S)
    raise ApplyFailed(f"{topic}: was created and is not listed after {timeout_s:.0f} s")


def _resource(step: Configure) -> ConfigResource:
    entries = [
        ConfigEntry(name, wanted, incremental_operation=AlterConfigOpType.SET)
        for name, (_, wanted) in step.changes.items()
    ]
    return ConfigResource(ResourceType.TOPIC, step.topic, incremental_configs=entries)


def _configs(admin: AdminClient, names: Iterable[str], timeout_s: float) -> Mapping[str, dict[str, str]]:
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
    found: dict[str, dict[str, str]] = {}
    for resource, future in asked.items():
        try:
            entries = future.result(timeout=timeout_s)
        except KafkaException:
            continue  # a topic deleted in between, or one that this principal may not describe: no settings known
        found[resource.name] = {name: entry.value for name, entry in entries.items()}
    return found


def _wait(futures: Mapping[Any, "Future[Any]"], topic: str) -> None:
    for future in futures.values():
        try:
            future.result(timeout=_TIMEOUT_S * 3)
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise ApplyFailed(f"{topic}: {error.args[0].str()}") from error
