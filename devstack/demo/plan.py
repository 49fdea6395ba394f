"""What traffic to make: a deterministic plan of transactions and records, from a seed.

Pure: the same seed, size and base time give the same plan, byte for byte. The plan only says what is to be
written; what really was written is known after a commit or an acknowledgement and stands in
`devstack.demo.ledger`. The invariant: a partition key belongs to one writer, so that its commit order is
the order of that writer's transactions.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import cycle
from typing import Final
from uuid import UUID

import orjson

from schemas.activity import MAX_PROPERTIES_BYTES, MAX_PROPERTIES_DEPTH
from schemas.errors import Reason

WRITERS: Final = 4
"""Connections that insert at the same time."""

NAMES: Final[dict[str, int]] = {
    "page.viewed": 30,
    "review.liked": 16,
    "favorite.added": 14,
    "review.created": 12,
    "message.sent": 10,
    "group.joined": 7,
    "favorite.removed": 5,
    "member.joined": 3,
    "group.created": 3,
}
"""Event names of the runbooks' domain (allow list of schemas) with their weight in percent."""

NOTIFYING: Final[dict[str, int]] = {"member.joined": 1, "group.created": 2, "group.joined": 3}
"""Event name to the push template whose job it makes: about 13 % of all events."""

SPOILED_ROWS: Final = (
    Reason.NOT_JSON,
    Reason.NOT_AN_OBJECT,
    Reason.UNKNOWN_EVENT_NAME,
    Reason.TOO_DEEP,
    Reason.INVALID_TEXT,
    Reason.TOO_LARGE,
)
"""What a broken producer may leave in the outbox; the plan walks them in turn."""

SPOILED_RECORDS: Final = (
    Reason.NULL_VALUE,
    Reason.NOT_AVRO,
    Reason.TRUNCATED,
    Reason.UNKNOWN_SCHEMA_ID,
    Reason.INVALID_FIELD,
    Reason.UNKNOWN_EVENT_NAME,
)
"""What a broken producer may write to activity.events."""

_PLATFORMS: Final = ("ios", "android", "web")
_SPOILED_EVERY: Final = 250
_DIRECT_SHARE: Final = 0.05
_REPEAT_SHARE: Final = 0.02
_CONFLICT_SHARE: Final = 0.2
_RECENT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be written; `spoiled` is the reason for which the pipeline must refuse it."""

    event_id: UUID
    event_name: str
    partition_key: str
    member_id: int | None
    anonymous_id: str | None
    session_id: str
    platform: str
    occurred_at: datetime
    payload: str
    spoiled: Reason | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """Rows that one writer commits together, in this order."""

    writer: int
    drafts: tuple[Draft, ...]


class SendKind(StrEnum):
    """Why a record is written to activity.events."""

    NEW = "new"
    REPEAT = "repeat"
    CONFLICT = "conflict"
    SPOILED = "spoiled"


@dataclass(frozen=True, slots=True)
class Send:
    """A record for activity.events. A repeat or a conflict may go out only once its event is stored."""

    kind: SendKind
    draft: Draft


Step = Transaction | Send


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the demo's application."""

    member_id: int
    subscriptions: tuple[bool, ...]
    """One entry per web push subscription: whether it is expired from the start."""


def members_for(rows: int | None) -> int:
    """How many members take part in a run of so many rows (None: until stopped)."""
    return 500 if rows is None else min(max(40, rows // 20), 1_000)


def population(count: int, seed: int) -> list[Member]:
    """Members 1 to count; seven in ten have one or two subscriptions, four in a hundred of which expired."""
    rng = random.Random(f"population {seed}")
    members = []
    for member_id in range(1, count + 1):
        wanted = rng.choices((0, 1, 2), weights=(30, 50, 20))[0]
        members.append(Member(member_id, tuple(rng.random() < 0.04 for _ in range(wanted))))
    return members


def plan(seed: int, members: Sequence[Member], base: datetime, rows: int | None) -> Iterator[Step]:
    """The steps of a run: transactions of `rows` outbox rows in all (None: endless), records between.

    Args:
        seed: same seed, same plan.
        members: who acts.
        base: time of the first event, aware; the others follow 1 to 20 ms apart.
        rows: rows of the outbox; the records of activity.events come on top.
    """
    return _Planner(seed, members, base, rows).steps()


class _Planner:
    def __init__(self, seed: int, members: Sequence[Member], base: datetime, rows: int | None) -> None:
        self._rng = random.Random(f"plan {seed}")
        self._members = members
        self._now = base
        self._rows = rows
        self._every = _SPOILED_EVERY if rows is None else max(2, min(_SPOILED_EVERY, rows // 8))
        self._made = 0
        self._bad_rows = cycle(SPOILED_ROWS)
        self._bad_records = cycle(SPOILED_RECORDS)
        self._recent: list[Draft] = []

    def steps(self) -> Iterator[Step]:
        while self._rows is None or self._made < self._rows:
            transaction = self._transaction()
            yield transaction
            yield from self._sends(len(transaction.drafts))

    def _transaction(self) -> Transaction:
        writer = self._rng.randrange(WRITERS)
        size = self._size()
        if self._rows is not None:
            size = min(size, self._rows - self._made)
        return Transaction(writer, tuple(self._row(writer) for _ in range(size)))

    def _size(self) -> int:
        low, high = self._rng.choices(((1, 5), (6, 40), (50, 300)), weights=(55, 30, 15))[0]
        return self._rng.randint(low, high)

    def _row(self, writer: int) -> Draft:
        self._made += 1
        draft = self._draft(writer)
        if self._made % self._every == self._every // 2:
            return spoil_row(draft, next(self._bad_rows))
        self._remember(draft)
        return draft

    def _sends(self, rows: int) -> Iterator[Send]:
        for _ in range(rows):
            chance = self._rng.random()
            if chance < _DIRECT_SHARE:
                draft = self._draft(self._rng.randrange(WRITERS))
                self._remember(draft)
                yield Send(SendKind.NEW, draft)
            elif chance < _DIRECT_SHARE + _REPEAT_SHARE and self._recent:
                yield self._repeat(self._rng.choice(self._recent))
            elif chance > 1 - 1 / self._every:
                yield Send(SendKind.SPOILED, spoil_record(self._draft(0), next(self._bad_records)))

    def _repeat(self, draft: Draft) -> Send:
        if self._rng.random() < _CONFLICT_SHARE:
            return Send(SendKind.CONFLICT, _replaced(draft, payload=_json({"rewritten": True})))
        return Send(SendKind.REPEAT, draft)

    def _remember(self, draft: Draft) -> None:
        if len(self._recent) < _RECENT:
            self._recent.append(draft)
        else:
            self._recent[self._rng.randrange(_RECENT)] = draft

    def _draft(self, writer: int) -> Draft:
        rng = self._rng
        self._now += timedelta(microseconds=rng.randint(1_000, 20_000))
        member = rng.choice(self._members[writer::WRITERS])
        name = rng.choices(tuple(NAMES), weights=tuple(NAMES.values()))[0]
        anonymous = name == "page.viewed" and rng.random() < 0.3
        visitor = f"visitor-{writer}-{rng.randrange(200)}"
        return Draft(
            event_id=UUID(int=rng.getrandbits(128), version=4),
            event_name=name,
            partition_key=visitor if anonymous else f"member-{member.member_id}",
            member_id=None if anonymous else member.member_id,
            anonymous_id=visitor if anonymous else None,
            session_id=f"session-{rng.randrange(10_000)}",
            platform=rng.choice(_PLATFORMS),
            occurred_at=self._now,
            payload=_json(_properties(name, rng)),
        )


def spoil_row(draft: Draft, reason: Reason) -> Draft:
    """The same row as a broken producer would write it, so that the pipeline must refuse it for `reason`."""
    match reason:
        case Reason.NOT_JSON:
            return _replaced(draft, spoiled=reason, payload='{"page": ')
        case Reason.NOT_AN_OBJECT:
            return _replaced(draft, spoiled=reason, payload='["page", 1]')
        case Reason.UNKNOWN_EVENT_NAME:
            return _replaced(draft, spoiled=reason, event_name="page.veiwed")
        case Reason.TOO_DEEP:
            depth = MAX_PROPERTIES_DEPTH + 8
            return _replaced(draft, spoiled=reason, payload='{"a":' * depth + "1" + "}" * depth)
        case Reason.INVALID_TEXT:
            return _replaced(draft, spoiled=reason, payload='{"name": "a\\u0000b"}')
        case Reason.TOO_LARGE:
            return _replaced(draft, spoiled=reason, payload=_json({"text": "x" * (MAX_PROPERTIES_BYTES + 1)}))
        case _:
            raise ValueError(f"no outbox row is refused for {reason}")


def spoil_record(draft: Draft, reason: Reason) -> Draft:
    """Mark a record's draft; the bytes are spoiled when it is encoded (`devstack.demo.records`)."""
    if reason not in SPOILED_RECORDS:
        raise ValueError(f"no record of activity.events is refused for {reason}")
    if reason is Reason.UNKNOWN_EVENT_NAME:
        return _replaced(draft, spoiled=reason, event_name="page.veiwed")
    return _replaced(draft, spoiled=reason)


def _replaced(
    draft: Draft, *, payload: str | None = None, event_name: str | None = None, spoiled: Reason | None = None
) -> Draft:
    return Draft(
        draft.event_id,
        event_name or draft.event_name,
        draft.partition_key,
        draft.member_id,
        draft.anonymous_id,
        draft.session_id,
        draft.platform,
        draft.occurred_at,
        draft.payload if payload is None else payload,
        spoiled,
    )


def _properties(name: str, rng: random.Random) -> dict[str, object]:
    area = name.partition(".")[0]
    common: dict[str, object] = {"name": f"가람 {rng.randrange(1_000)}", "source": "demo"}
    match area:
        case "group":
            return {**common, "groupId": rng.randrange(500), "kind": "산악회"}
        case "review":
            return {**common, "reviewId": rng.randrange(100_000), "stars": rng.randint(1, 5)}
        case "favorite":
            return {**common, "placeId": rng.randrange(5_000), "score": round(rng.random(), 3)}
        case "page":
            return {"path": f"/p/{rng.randrange(300)}", "ms": rng.randrange(5_000), "source": "demo"}
        case _:
            return common


def _json(properties: dict[str, object]) -> str:
    return orjson.dumps(properties).decode()
