"""Names and sizes of the Tables and topics that the windows role needs, so that wiring and `topics apply` agree; pure.

Keys and values are bytes made by the role: create each Table with `key_type=bytes, value_type=bytes` (Faust then uses
its `raw` serialisers and the changelog holds the same bytes), in the `memory://` store.
"""

from typing import Final

PANES_TABLE: Final = "panes"
"""Phase one's state; as many partitions as the cdc topics that it counts."""

ALERTS_TABLE: Final = "alert-states"
"""The evaluator's state; as many partitions as the progress topic."""


def changelog_topic(group_id: str, table: str) -> str:
    """The changelog topic that Faust gives a Table of an app whose id is `group_id`."""
    return f"{group_id}-{table}-changelog"
