"""The live view of a demo on a terminal; only drawing, all figures come from `devstack.demo.figures`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from devstack.demo.figures import STAGES, AlertLine, Figures, age, plain_line, size

LOW_LINES: Final = 30
_STATUS_STYLE = {"firing": "bold red", "resolved": "green", "pending": "yellow"}


@dataclass(frozen=True, slots=True)
class Heading:
    """What is running, said honestly: which stack, what it does not keep, and how fast its clock runs."""

    demo_id: str
    stack: str
    note: str
    times_faster: float


def heading_text(heading: Heading) -> str:
    """The first lines of the view."""
    faster = round(heading.times_faster)
    scale = (
        f"Alert rules run {faster} times faster than in production: 15 min are {900 // faster} s here."
        if faster > 1
        else "Alert rules run at production speed."
    )
    return (
        f"demo {heading.demo_id} · {heading.stack}. {heading.note} {scale}\n"
        f"Break something: ./bongsu demo break push|posthog|broker|postgres · heal it: ./bongsu demo heal ..."
        f" · end: Ctrl-C"
    )


def render(
    heading: Heading, figures: Figures, rates: Mapping[str, float], log_lines: Sequence[str], height: int = LOW_LINES
) -> RenderableType:
    """The whole view as one renderable; what is cut off below `height` lines of a low terminal matters least."""
    sides = Table.grid(padding=(0, 3))
    sides.add_row(_flow(figures, rates), _waiting(figures), _refused(figures))
    numbers: list[RenderableType] = [Text(heading_text(heading)), sides]
    state: list[RenderableType] = [_alerts(figures), _processes(figures)]
    if figures.faults:
        broken = " · ".join(f"{target}: {what}" for target, what in figures.faults.items())
        state.append(Text(f"broken on purpose: {broken}", style="bold yellow"))
    if figures.unreachable:
        state.append(Text(f"no answer from {', '.join(figures.unreachable)}", style="bold yellow"))
    parts = [*state, *reversed(numbers)] if height < LOW_LINES else [*numbers, *state]
    parts.append(Text("\n".join(log_lines), style="dim", overflow="ellipsis", no_wrap=True))
    return Panel(Group(*parts), title="Bongsu", title_align="left")


def _flow(figures: Figures, rates: Mapping[str, float]) -> Table:
    table = Table(box=None, title="flow", title_justify="left")
    table.add_column("")
    table.add_column("per second", justify="right")
    table.add_column("total", justify="right")
    for stage in STAGES:
        table.add_row(stage, f"{rates.get(stage, 0):,.0f}", f"{figures.counts.get(stage, 0):,}")
    duplicates = "?" if figures.duplicates is None else f"{figures.duplicates:,}"
    table.add_row("duplicates", "", duplicates, style="dim")
    table.add_row("push gone", "", f"{figures.gone:,}", style="dim")
    table.add_row("push failed", "", f"{figures.failed:,}", style="red" if figures.failed else "dim")
    return table


def _waiting(figures: Figures) -> Table:
    table = Table(box=None, title="waiting", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    if figures.lag is None:
        table.add_row("lag", "unknown")
    for group, lag in (figures.lag or {}).items():
        table.add_row(f"lag {group}", f"{lag:,}")
    table.add_row("slot", "unknown" if figures.slot_bytes is None else size(figures.slot_bytes))
    table.add_row("dispatch rows", f"{figures.dispatch_waiting:,}")
    table.add_row("push jobs", f"{figures.jobs_waiting:,}")
    return table


def _refused(figures: Figures) -> Table:
    table = Table(box=None, title="dead letters", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for reason, count in sorted(figures.dead_letters.items()):
        table.add_row(reason, f"{count:,}")
    return table


def _alerts(figures: Figures) -> RenderableType:
    if not figures.alerts:
        return Text("alerts: none", style="green")
    table = Table(box=None, title="alerts", title_justify="left")
    table.add_column("rule", no_wrap=True)
    for column in ("state", "severity", "since", "value"):
        table.add_column(column)
    for alert in figures.alerts:
        style = _STATUS_STYLE.get(alert.status, "")
        since = age((figures.now_ms - alert.since_ms) / 1_000)
        table.add_row(alert.rule, alert.status, alert.severity, since, _value(alert), style=style)
    return table


def _value(alert: AlertLine) -> str:
    if alert.value is None:
        return ""
    return f"{alert.value:.3g}" + ("" if alert.threshold is None else f" (threshold {alert.threshold:g})")


def _processes(figures: Figures) -> Text:
    text = Text("processes: ")
    for name, state in figures.processes.items():
        text.append(f"{name} ")
        text.append(f"{state}  ", style="green" if state == "running" else "bold red")
    return text


class Screen:
    """Shows figures: redrawn in place on a terminal, a line now and then elsewhere.

    Args:
        console: where to draw (stderr, so that stdout stays free for the report).
        heading: what is running.
        line_every_s: how often a plain line is written when there is no terminal.
    """

    def __init__(self, console: Console, heading: Heading, *, line_every_s: float = 2.0) -> None:
        self._console = console
        self._heading = heading
        self._line_every_s = line_every_s
        self._last_line_s: float | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "Screen":
        """Take over the terminal."""
        if self._live is not None:
            self._live.start()
        else:
            self._console.print(heading_text(self._heading), soft_wrap=True, markup=False, highlight=False)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back, with the last picture left on it."""
        if self._live is not None:
            self._live.stop()

    def show(self, figures: Figures, rates: Mapping[str, float], log_lines: Sequence[str]) -> None:
        """Draw the figures."""
        if self._live is not None:
            self._live.update(render(self._heading, figures, rates, log_lines, self._console.height), refresh=True)
            return
        if self._last_line_s is None or figures.at_s - self._last_line_s >= self._line_every_s:
            self._last_line_s = figures.at_s
            self._console.print(plain_line(figures, rates), soft_wrap=True, markup=False, highlight=False)
