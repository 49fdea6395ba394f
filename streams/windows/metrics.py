"""What the windows role counts; each metric answers one question."""

from prometheus_client import Counter, Gauge

window_changes = Counter(
    "window_changes",
    "Changes met on cdc topics: fresh ones are in the panes, repeated_* were there already, blind could not be "
    "compared (an alarm), skipped_* are no inserted facts, refused are dead letters.",
    ["topic", "outcome"],
)

window_blocks_written = Counter("window_blocks_written", "Table writes of phase one; how many per change?", ["topic"])

window_view_behind_records = Gauge(
    "window_view_behind_records", "Changelog records that phase two has yet to read; grows when it is stuck.", ["topic"]
)

window_view_restarts = Counter(
    "window_view_restarts",
    "Times a changelog reader was opened anew; more than a few says the broker is ill.",
    ["topic"],
)

alert_tick_ms = Gauge("alert_tick_ms", "Event time of the last tick evaluated, Unix ms; stands still when alerts do.")

alert_records = Counter("alert_records", "Records published on alerts.", ["rule", "status"])

progress_ignored = Counter(
    "progress_ignored",
    "Progress records passed over: older (delivered again), ahead (the source's clock is wrong).",
    ["why"],
)
