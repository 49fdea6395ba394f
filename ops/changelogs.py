"""The topics that a worker's Faust tables write, as registry entries, so that `topics apply` makes them too.

They are not in topics/registry.toml because their names carry the group prefix, which is a setting.
"""

from ops.roles import group_id
from streams.windows.tables import ALERTS_TABLE, PANES_TABLE, changelog_topic
from topics.registry import PROGRESS, Topic, topics, topics_read_by


def changelogs(group_prefix: str) -> tuple[Topic, ...]:
    """Changelog topics of the windows role; a table has as many partitions as the topics it is written from."""
    counted = next(topic for topic in topics_read_by("windows") if topic.schema == "cdc")
    sizes = {PANES_TABLE: counted.partitions, ALERTS_TABLE: topics()[PROGRESS].partitions}
    return tuple(_changelog(group_id(group_prefix, "windows"), table, count) for table, count in sizes.items())


def all_topics(group_prefix: str) -> tuple[Topic, ...]:
    """The registry's topics and the changelogs: everything that must exist before a worker starts."""
    return (*topics().values(), *changelogs(group_prefix))


def _changelog(group: str, table: str, partitions: int) -> Topic:
    return Topic(
        name=changelog_topic(group, table),
        key="table key",
        schema="table",
        partitions=partitions,
        retention_ms=None,
        compacted=True,
        min_compaction_lag_ms=0,
        writer="windows",
        readers=("windows",),
        dead_letters=None,
        table=None,
    )
