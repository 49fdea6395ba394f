"""The fence: how far into the source's log a state has counted, and whether a change lies beyond it; pure.

A record's Kafka offset says where it was delivered, not what it is: a relay that restarts sends the same change again
at a new offset. The fence judges by the change's own place in PostgreSQL's log, so both kinds of repetition, a second
delivery and a second production, are seen for what they are. How places compare (design.md §7):

- same transaction: by LSN, and on one LSN by membership of the row's key, since rows of one COPY share an LSN and
  arrive in any key order;
- another transaction: by `source.sequence[0]`, the end of the previous commit, which grows with commit order (the LSNs
  of two transactions interleave, so they say nothing);
- another epoch (restored backup, promoted standby, exchanged relay): not comparable. A record of an epoch that this
  fence has not met begins a new fence; one of an epoch left behind, or of a lower timeline of the same system, is old;
- a null `sequence[0]` or no transaction id: nothing can be said. The caller must raise an alarm, never guess.

Invariant: along one partition's log the fences of a state grow strictly by `rank`, which is what lets phase two choose
between the records of two owners (`sequence[0]` of one transaction may differ across reconnects, so a fence keeps the
greatest it met).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_EPOCHS_KEPT: Final = 8

Rank = tuple[int, int, int, int, str, int, tuple[str, ...]]
"""What two fences are compared by; later fences of one log are greater."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one change stands in the source's log.

    Attributes:
        epoch: `<system identifier>-<timeline>`, or "" where the record has no epoch header.
        previous_commit_lsn: `source.sequence[0]`.
        tx_id: transaction id.
        lsn: the change's own LSN; not unique.
        key: the row's primary key as text.
    """

    epoch: str
    previous_commit_lsn: int | None
    tx_id: int | None
    lsn: int
    key: str


@dataclass(frozen=True, slots=True)
class Fence:
    """The last change that a state has counted, and what else it counted at that LSN.

    Attributes:
        epoch: epoch of that change.
        left: epochs left behind, newest last, at most 8.
        epochs_left: how many epochs were left behind in all.
        previous_commit_lsn: greatest `source.sequence[0]` met in its transaction.
        tx_id: its transaction.
        lsn: its LSN.
        keys: primary keys counted at that LSN.
    """

    epoch: str
    left: tuple[str, ...]
    epochs_left: int
    previous_commit_lsn: int
    tx_id: int
    lsn: int
    keys: frozenset[str]


class Repeated(StrEnum):
    """By which comparison a change was found to be counted already."""

    LSN = "lsn"
    KEY = "key"
    COMMIT = "commit"
    EPOCH = "epoch"


class Blind(StrEnum):
    """What a change lacks, so that it cannot be compared; each is an alarm."""

    NO_PREVIOUS_COMMIT = "no_previous_commit"
    NO_TRANSACTION = "no_transaction"


@dataclass(frozen=True, slots=True)
class Fresh:
    """Not counted yet; `fence` is the fence once it is."""

    fence: Fence


@dataclass(frozen=True, slots=True)
class Seen:
    """Counted already: pass over."""

    by: Repeated


@dataclass(frozen=True, slots=True)
class Incomparable:
    """Neither can be said: alarm, and set the record aside."""

    why: Blind


Verdict = Fresh | Seen | Incomparable


def judge(fence: Fence | None, mark: Mark) -> Verdict:
    """Whether the change at `mark` lies beyond `fence` (None: nothing was counted yet)."""
    if mark.previous_commit_lsn is None:
        return Incomparable(Blind.NO_PREVIOUS_COMMIT)
    if mark.tx_id is None:
        return Incomparable(Blind.NO_TRANSACTION)
    if fence is None:
        return Fresh(_at(mark, mark.previous_commit_lsn, mark.tx_id, (), 0))
    if mark.epoch != fence.epoch:
        return _judge_epoch(fence, mark, mark.previous_commit_lsn, mark.tx_id)
    if mark.tx_id == fence.tx_id:
        return _judge_same_transaction(fence, mark, mark.previous_commit_lsn)
    if mark.previous_commit_lsn <= fence.previous_commit_lsn:
        return Seen(Repeated.COMMIT)
    return Fresh(_at(mark, mark.previous_commit_lsn, mark.tx_id, fence.left, fence.epochs_left))


def rank(fence: Fence | None) -> Rank:
    """The order of fences of one state, total: equal ranks are equal fences. No fence ranks lowest."""
    if fence is None:
        return (-1, -1, -1, -1, "", -1, ())
    return (
        fence.epochs_left,
        fence.previous_commit_lsn,
        fence.lsn,
        len(fence.keys),
        fence.epoch,
        fence.tx_id,
        (*fence.left, "", *sorted(fence.keys)),
    )


def to_record(fence: Fence | None) -> dict[str, Any] | None:
    """The fence as a JSON-able object."""
    if fence is None:
        return None
    return {
        "epoch": fence.epoch,
        "left": list(fence.left),
        "epochs_left": fence.epochs_left,
        "sequence": fence.previous_commit_lsn,
        "tx": fence.tx_id,
        "lsn": fence.lsn,
        "keys": sorted(fence.keys),
    }


def from_record(record: Mapping[str, Any] | None) -> Fence | None:
    """The inverse of `to_record`.

    Raises:
        KeyError, TypeError: the object is no fence.
    """
    if record is None:
        return None
    return Fence(
        epoch=record["epoch"],
        left=tuple(record["left"]),
        epochs_left=record["epochs_left"],
        previous_commit_lsn=record["sequence"],
        tx_id=record["tx"],
        lsn=record["lsn"],
        keys=frozenset(record["keys"]),
    )


def _judge_epoch(fence: Fence, mark: Mark, previous_commit_lsn: int, tx_id: int) -> Verdict:
    if mark.epoch in fence.left or _lower_timeline(mark.epoch, fence.epoch):
        return Seen(Repeated.EPOCH)
    left = (*fence.left, fence.epoch)[-_EPOCHS_KEPT:]
    return Fresh(_at(mark, previous_commit_lsn, tx_id, left, fence.epochs_left + 1))


def _judge_same_transaction(fence: Fence, mark: Mark, previous_commit_lsn: int) -> Verdict:
    if mark.lsn < fence.lsn:
        return Seen(Repeated.LSN)
    keys = frozenset((mark.key,))
    if mark.lsn == fence.lsn:
        if mark.key in fence.keys:
            return Seen(Repeated.KEY)
        keys |= fence.keys
    return Fresh(
        Fence(
            epoch=fence.epoch,
            left=fence.left,
            epochs_left=fence.epochs_left,
            previous_commit_lsn=max(fence.previous_commit_lsn, previous_commit_lsn),
            tx_id=fence.tx_id,
            lsn=mark.lsn,
            keys=keys,
        )
    )


def _at(mark: Mark, previous_commit_lsn: int, tx_id: int, left: tuple[str, ...], epochs_left: int) -> Fence:
    return Fence(mark.epoch, left, epochs_left, previous_commit_lsn, tx_id, mark.lsn, frozenset((mark.key,)))


def _lower_timeline(epoch: str, than: str) -> bool:
    system, _, timeline = epoch.rpartition("-")
    other_system, _, other_timeline = than.rpartition("-")
    if not system or system != other_system or not (timeline.isdigit() and other_timeline.isdigit()):
        return False
    return int(timeline) < int(other_timeline)
