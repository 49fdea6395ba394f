"""Phase one's edge: a batch of a cdc topic in, Table writes out.

Runs inside the engine's agent, since Faust lets a Table be written only there and takes the changelog's partition from
the batch's. Nothing awaits between the first and the last write of a batch, so a reader of the Table in this process
sees batches whole.
"""

from collections.abc import Iterable, MutableMapping, Sequence

from schemas.change import EPOCH_HEADER, Change, Skipped, parse_change
from schemas.errors import Reason, SchemaError
from streams.engine.batch import Record, RecordBatch
from streams.engine.outcomes import Handled, Refusal
from streams.windows import metrics
from streams.windows.fence import Blind, Mark
from streams.windows.fold import Contribution, Counted, Folded, Owned, adopt, fold
from streams.windows.panes import Layout
from streams.windows.signals import Signal
from topics.registry import cdc_topic

_BLIND: dict[Blind, str] = {
    Blind.NO_PREVIOUS_COMMIT: "source.sequence[0] is null: the relay has lost its offsets, see docs/guarantees.md",
    Blind.NO_TRANSACTION: "source.txId is null: no transaction to compare by",
}


class ChangeCounter:
    """Counts the changes of captured tables into the panes Table.

    Args:
        signals: what is counted.
        layout: how time is cut.
        retention_ms: how long a block is kept after its end.
        panes: the panes Table, keys and values bytes (`streams.windows.tables`).
    """

    def __init__(
        self,
        signals: Iterable[Signal],
        layout: Layout,
        retention_ms: int,
        panes: MutableMapping[bytes, bytes],
    ) -> None:
        self._signals: dict[str, list[Signal]] = {}
        for signal in signals:
            self._signals.setdefault(cdc_topic(signal.table), []).append(signal)
        self._layout = layout
        self._retention_ms = retention_ms
        self._panes = panes
        self._owned: dict[tuple[str, int], Owned] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """The cdc topics that are counted."""
        return tuple(self._signals)

    async def handle(self, batch: RecordBatch) -> Handled:
        """Count one batch; the fence passes over what was counted before.

        Raises:
            StateUnreadable: the Table holds records of a newer release.
        """
        counted, refusals, records = [], [], {}
        for record in batch.records:
            try:
                change = parse_change(record.value)
                if isinstance(change, Skipped):
                    metrics.window_changes.labels(batch.topic, f"skipped_{change}").inc()
                elif change.op != "c":
                    # Rows read again are judged by primary key in the store; counting them here would count twice.
                    metrics.window_changes.labels(batch.topic, "skipped_read").inc()
                else:
                    counted.append(self._counted(record, change))
                    records[record.offset] = record
            except SchemaError as error:
                refusals.append(Refusal(record, error.reason.value, error.detail, None))
        folded = self._fold(batch, counted)
        refusals += [_blind(records[offset], why) for offset, why in folded.blind.items()]
        _report(batch.topic, folded, len(refusals))
        return Handled(tuple(sorted(refusals, key=lambda refusal: refusal.record.offset)))

    def _counted(self, record: Record, change: Change) -> Counted:
        signals = self._signals[record.topic]
        key = signals[0].key_of(change.row)
        return Counted(
            record.offset,
            change.commit_ms,
            Mark(_epoch(record.headers), change.previous_commit_lsn, change.tx_id, change.lsn, key),
            tuple(
                Contribution(signal.series_of(change.row), signal.sum_names, signal.amounts_of(change.row))
                for signal in signals
            ),
        )

    def _fold(self, batch: RecordBatch, counted: Sequence[Counted]) -> Folded:
        owned = self._owned.get((batch.topic, batch.partition))
        if owned is None or owned.generation != batch.generation:
            # Recovery has restored the Table before the agent runs; another owner may have written since ours.
            owned = adopt(batch.topic, batch.partition, batch.generation, list(self._panes.items()))
            self._owned[batch.topic, batch.partition] = owned
        folded = fold(owned, self._layout, self._retention_ms, counted, batch.next_offset)
        for key, value in (*folded.writes, folded.position_write):
            self._panes[key] = value
        for key in folded.deletes:
            if key in self._panes:
                del self._panes[key]
        owned.settle(folded)
        return folded


def _epoch(headers: Sequence[tuple[str, bytes | None]]) -> str:
    for name, value in headers:
        if name == EPOCH_HEADER and value is not None:
            return value.decode("ascii", errors="replace")
    return ""


def _blind(record: Record, why: Blind) -> Refusal:
    return Refusal(record, Reason.MISSING_FIELD.value, f"the change cannot be compared: {_BLIND[why]}", None)


def _report(topic: str, folded: Folded, refused: int) -> None:
    for outcome, count in folded.outcomes.items():
        metrics.window_changes.labels(topic, outcome).inc(count)
    for outcome, count in (("blind", len(folded.blind)), ("refused", refused - len(folded.blind))):
        if count:
            metrics.window_changes.labels(topic, outcome).inc(count)
    metrics.window_blocks_written.labels(topic).inc(len(folded.writes))
