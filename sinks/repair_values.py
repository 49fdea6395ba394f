"""What one step of the repair of enqueue gaps did. Values only; the others are in `sinks.store_values`."""

from dataclasses import dataclass

from sinks.store_values import Enqueued, EnqueueFailed


@dataclass(frozen=True, slots=True)
class NoGap:
    """No gap is open, or other workers have those that are."""


RepairStep = Enqueued | EnqueueFailed | NoGap
"""What was missing and is enqueued now; or why it is not, and another gap is next; or nothing to do."""
