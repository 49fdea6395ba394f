"""The registry's topics against the cluster that the settings name; used by `topics` and `doctor`."""

from typing import TYPE_CHECKING

from ops.errors import DependencyUnavailable
from ops.settings_model import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from topics.plan import Step

_TIMEOUT_S = 5.0


def planned(settings: Settings) -> "tuple[AdminClient, list[Step]]":
    """The client that would apply them, and the steps. Raises DependencyUnavailable."""
    from confluent_kafka.admin import AdminClient

    from ops.changelogs import all_topics
    from ops.kafka_config import client_config
    from topics import admin as topic_admin
    from topics.plan import plan

    client = AdminClient(client_config(settings, "topics"))
    try:
        present = topic_admin.present_topics(client, with_config=not settings.embedded_broker, timeout_s=_TIMEOUT_S)
    except topic_admin.ClusterUnavailable as error:
        raise DependencyUnavailable(f"KAFKA_BOOTSTRAP_SERVERS is {settings.brokers()}: {error}.") from error
    replication = 1 if settings.embedded_broker else settings.replication_factor
    wanted = all_topics(settings.group_prefix)
    return client, plan(wanted, present, replication_factor=replication, embedded=settings.embedded_broker)
