"""Gathers the lag of every group, slot and queue: the I/O around `ops.lag`."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ops.cluster import committed_offsets, first_timestamps, partition_counts
from ops.database import connect, query
from ops.lag import PartitionLag, behind, lags, lsn_distance, next_offset
from ops.roles import ROLES, group_id
from ops.settings_model import Settings


def group_lags(settings: Settings, roles: Sequence[str] = ROLES) -> list[PartitionLag]:
    """Lag of every partition of every topic that a role reads. Raises DependencyUnavailable."""
    from topics.registry import topics_read_by

    partitions = partition_counts(settings)
    offsets = [
        one
        for role in roles
        for one in committed_offsets(
            settings,
            group_id(settings.group_prefix, role),
            [topic.name for topic in topics_read_by(role)],
            partitions,
        )
    ]
    waiting = sorted({((one.topic, one.partition), next_offset(one)) for one in offsets if behind(one)})
    timestamps = _timestamps(settings, waiting)
    return lags(offsets, timestamps, time.time_ns() // 1_000_000)


def _timestamps(settings: Settings, waiting: list[Any]) -> dict[Any, int]:
    """One round per position of a partition: two groups may wait at two places of one."""
    found: dict[Any, int] = {}
    rounds: list[dict[Any, int]] = []
    for partition, offset in waiting:
        free = next((one for one in rounds if partition not in one), None)
        if free is None:
            free = {}
            rounds.append(free)
        free[partition] = offset
    for one in rounds:
        found |= first_timestamps(settings, list(one.items()))
    return found


def slot_lags(settings: Settings) -> list[dict[str, Any]]:
    """Every logical slot with the bytes of log that it has not confirmed and that it keeps on disk."""
    with connect(settings, "lag") as connection:
        rows = query(connection, "slots")
    return [
        {
            "slot": row["slot_name"],
            "active": row["active"],
            "confirmed_lsn": row["confirmed_lsn"],
            "restart_lsn": row["restart_lsn"],
            "lag_bytes": lsn_distance(row["current_lsn"], row["confirmed_lsn"]),
            "retained_bytes": lsn_distance(row["current_lsn"], row["restart_lsn"]),
            "wal_status": row["wal_status"],
        }
        for row in rows
    ]


def backlog(settings: Settings) -> list[dict[str, Any]]:
    """Rows per state of the source outbox, the dispatch outbox and the notify jobs."""
    with connect(settings, "lag") as connection:
        return query(connection, "backlog")


def as_row(lag: PartitionLag) -> dict[str, Any]:
    """A partition's lag as the verb prints it."""
    return asdict(lag)
