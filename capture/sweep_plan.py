"""What the sweeper looks for, table by table, and how it paces itself; pure.

Each relayed table declares a catch-up query (design.md §1): rows whose next stage has not happened. Logs have
no next stage and are not swept: windows count by position, and a row that was read again has none (decision 0010).
"""

from dataclasses import dataclass
from typing import Final

from capture.settings import RelaySettings


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """How the sweeper works.

    Attributes:
        relay: limits, keys and names it shares with the relay.
        sweep_every_s: pause between two passes.
        sweep_after_s: age at which a row is emitted again.
        rows_per_s: most rows emitted in a second, over all tables.
        rows_per_pass: most rows of one table in one pass; the next pass goes on behind them.
        page_rows: rows read, produced and acknowledged together.
        backlog_bytes: while the slot is further behind than this, its stream will bring the rows: no pass.
    """

    relay: RelaySettings
    sweep_every_s: float = 60.0
    sweep_after_s: float = 300.0
    rows_per_s: float = 5_000.0
    rows_per_pass: int = 50_000
    page_rows: int = 200
    backlog_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TableSweep:
    """One table's catch-up.

    Attributes:
        due: statement that lists ids of due rows, in the order they are emitted.
        schedules: statement that notes a repeated emission in the row, None where another role owns its retries.
        resumes: whether a pass goes on behind the last id (true), or noting the emission hides the row from it.
    """

    table: str
    due: str
    schedules: str | None = None
    resumes: bool = True


SWEEPS: Final = (
    TableSweep(
        "user_activity_source_outbox",
        "due_user_activity_source_outbox",
        schedules="schedule_user_activity_source_outbox",
        resumes=False,
    ),
    TableSweep("user_activity_dispatch_outbox", "due_user_activity_dispatch_outbox"),
    TableSweep("notify_jobs", "due_notify_jobs"),
)


def sweeps_for(tables: tuple[str, ...]) -> tuple[TableSweep, ...]:
    """The captured tables to look at."""
    return tuple(sweep for sweep in SWEEPS if sweep.table in tables)


def pause_s(rows: int, elapsed_s: float, rows_per_s: float) -> float:
    """How long to wait after `rows` took `elapsed_s`, so that the rate is kept."""
    return max(0.0, rows / rows_per_s - elapsed_s)
