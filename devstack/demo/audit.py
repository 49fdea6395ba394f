"""The audit: does what was written come out at the end, once, in order, or with the reason why not?

A pure function from ledgers that do not depend on each other (`devstack.demo.ledger`) to a list of
discrepancies; the empty list is a pass. The invariant: each check compares two accounts from different
witnesses, so that no single witness can be wrong unnoticed. Redelivery after a kill may repeat effects
outside PostgreSQL (a push accepted twice, a batch received twice); nothing may ever be missing, and nothing
may be stored, logged or counted twice.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from devstack.demo.ledger import JobFact, Ledgers, PushLogFact, Subscription, Via
from schemas.errors import Reason
from topics.registry import ACTIVITY_EVENTS

_EXAMPLES: Final = 3
_FINAL_JOB: Final = frozenset({"DONE", "FAILED", "CANCELLED"})
_GONE: Final = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that does not add up: the check that noticed it, how often, and a few examples."""

    check: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        """One sentence for people and for the JSON report."""
        more = f" and {self.count - len(self.examples)} more" if self.count > len(self.examples) else ""
        return f"{self.check}: {'; '.join(self.examples)}{more}"


Check = Callable[[Ledgers], Iterator[str]]
K = TypeVar("K", bound=Hashable)


def audit(ledgers: Ledgers) -> list[Discrepancy]:
    """Compare all accounts and return what does not add up, in the order of the flow; empty is a pass."""
    return [
        Discrepancy(name, len(found), tuple(found[:_EXAMPLES]))
        for name, check in CHECKS.items()
        if (found := list(check(ledgers)))
    ]


def _every_row_reached_the_outbox(ledgers: Ledgers) -> Iterator[str]:
    there = Counter(row.event_id for row in ledgers.database.outbox)
    written = Counter(event.event_id for event in ledgers.written.events if event.via is Via.OUTBOX)
    written.update(row.event_id for row in ledgers.written.spoiled_rows)
    yield from _unequal(written, there, "rows committed", "rows in the outbox")


def _outbox_rows_are_final(ledgers: Ledgers) -> Iterator[str]:
    spoiled = {row.event_id for row in ledgers.written.spoiled_rows}
    for row in ledgers.database.outbox:
        expected = "FAILED" if row.event_id in spoiled else "PUBLISHED"
        if row.status != expected:
            yield f"row {row.event_id} is {row.status}, expected {expected} (last_error {row.last_error!r})"
        elif expected == "FAILED" and not row.last_error:
            yield f"row {row.event_id} is FAILED without last_error"


def _stored_exactly_once(ledgers: Ledgers) -> Iterator[str]:
    written = Counter(event.event_id for event in ledgers.written.events)
    stored = Counter(row.event_id for row in ledgers.database.stored)
    yield from _unequal(written, stored, "times written", "times stored")


def _no_duplicate_rows(ledgers: Ledgers) -> Iterator[str]:
    if ledgers.database.duplicate_rows:
        yield f"the duplicate query of 001 L154 returns {ledgers.database.duplicate_rows} rows"


def _keys_survive(ledgers: Ledgers) -> Iterator[str]:
    keys = {event.event_id: event.partition_key for event in ledgers.written.events}
    for row in ledgers.database.stored:
        if (key := keys.get(row.event_id)) is not None and key != row.partition_key:
            yield f"event {row.event_id} was written for {key} and stored for {row.partition_key}"


def _commit_order_is_store_order(ledgers: Ledgers) -> Iterator[str]:
    position = {event.event_id: event.sequence for event in ledgers.written.events if event.via is Via.OUTBOX}
    latest: dict[str, int] = {}
    for row in sorted(ledgers.database.stored, key=lambda stored: stored.row_id):
        sequence = position.get(row.event_id)
        if sequence is None or row.source_topic != ledgers.setting.outbox_topic:
            continue
        if sequence < latest.get(row.partition_key, -1):
            yield f"{row.partition_key}: event {row.event_id} ({sequence}) after {latest[row.partition_key]}"
        latest[row.partition_key] = max(sequence, latest.get(row.partition_key, -1))


def _duplicates_add_up(ledgers: Ledgers) -> Iterator[str]:
    expected = Counter(event.event_id for event in ledgers.written.events)
    expected.update(repeat.event_id for repeat in ledgers.written.repeats)
    arrived = Counter({event_id: ledgers.arrivals.by_event.get(event_id, 0) for event_id in expected})
    if ledgers.setting.disturbed:
        arrived = arrived & expected
    yield from _unequal(expected, arrived, "copies expected on the input topics", "there")
    # A repeat with another body is counted where it went: among the dead letters, as a conflict.
    repeats = sum(1 for repeat in ledgers.written.repeats if not repeat.differs)
    counted = ledgers.arrivals.counted_duplicates
    if counted is not None and (counted < repeats or (counted > repeats and not ledgers.setting.disturbed)):
        yield f"{repeats} duplicates were sent, {counted} were counted"


def _dead_letters_are_the_expected(ledgers: Ledgers) -> Iterator[str]:
    written = ledgers.written
    outbox = ledgers.setting.outbox_topic
    expected = {(outbox, str(row.event_id)): row.reason for row in written.spoiled_rows}
    for record in written.spoiled_records:
        expected[record.topic, f"{record.partition}/{record.offset}"] = record.reason
    for repeat in written.repeats:
        if repeat.differs:
            expected[repeat.topic, f"{repeat.partition}/{repeat.offset}"] = Reason.CONFLICT
    seen: Counter[tuple[str, str]] = Counter()
    for letter in ledgers.dead_letters:
        place = f"{letter.partition}/{letter.offset}"
        key = letter.topic, place if letter.topic == ACTIVITY_EVENTS else str(letter.source_identity)
        seen[key] += 1
        if key not in expected:
            yield f"unexpected: {letter.topic} {place} ({letter.source_identity}): {letter.reason}"
        elif expected[key] != letter.reason:
            yield f"{letter.topic} {key[1]}: reason {letter.reason}, expected {expected[key]}"
    for topic, identity in expected.keys() - seen.keys():
        yield f"missing: {topic} {identity}: {expected[topic, identity]}"
    if not ledgers.setting.disturbed:
        yield from (f"{topic} {identity}: {n} letters" for (topic, identity), n in seen.items() if n > 1)


def _dispatched_once_per_target(ledgers: Ledgers) -> Iterator[str]:
    expected = Counter((row.event_id, target) for row in ledgers.database.stored for target in ledgers.setting.targets)
    there = Counter((row.event_id, row.target) for row in ledgers.database.dispatch)
    yield from _unequal(expected, there, "dispatch rows expected", "there")
    for row in ledgers.database.dispatch:
        if row.status != "DISPATCHED":
            yield f"event {row.event_id} for {row.target} is {row.status}"


def _posthog_received_what_is_stored(ledgers: Ledgers) -> Iterator[str]:
    stored = Counter({row.event_id for row in ledgers.database.stored})
    received = Counter(ledgers.receivers.posthog)
    if ledgers.setting.disturbed:
        # PostHog merges events of one uuid: a batch that was sent twice after a kill is one.
        received = Counter(dict.fromkeys(received, 1))
    yield from _unequal(stored, received, "times stored", "times received by PostHog")


def _jobs_follow_the_rules(ledgers: Ledgers) -> Iterator[str]:
    rules: dict[str, list[int]] = defaultdict(list)
    for rule in ledgers.setting.rules:
        rules[rule.event_name].append(rule.rule_id)
    expected = Counter(
        (event.event_id, rule_id, event.member_id)
        for event in ledgers.written.events
        if event.member_id is not None
        for rule_id in rules[event.event_name]
    )
    there = Counter((job.event_id, job.rule_id, job.member_id) for job in ledgers.database.jobs)
    yield from _unequal(expected, there, "jobs expected", "there")
    for job in ledgers.database.jobs:
        if job.status not in _FINAL_JOB:
            yield f"job {job.job_id} is {job.status}"


def _each_subscription_has_one_outcome_per_job(ledgers: Ledgers) -> Iterator[str]:
    by_member: dict[int, list[Subscription]] = defaultdict(list)
    for subscription in ledgers.setting.subscriptions:
        by_member[subscription.member_id].append(subscription)
    logged = Counter((log.job_id, log.subscription_id) for log in ledgers.database.logs)
    allowed: set[tuple[int, int]] = set()
    for job in ledgers.database.jobs:
        for subscription in by_member[job.member_id]:
            pair = job.job_id, subscription.subscription_id
            allowed.add(pair)
            if not subscription.expires and not logged[pair]:
                yield f"job {pair[0]} has no outcome for subscription {pair[1]}"
    for pair, count in logged.items():
        if pair not in allowed:
            yield f"log of job {pair[0]} names subscription {pair[1]}, which is not its member's"
        elif count > 1:
            yield f"job {pair[0]} has {count} outcomes for subscription {pair[1]}"


def _outcomes_are_true(ledgers: Ledgers) -> Iterator[str]:
    subscriptions = {item.subscription_id: item for item in ledgers.setting.subscriptions}
    for log in ledgers.database.logs:
        subscription = subscriptions.get(log.subscription_id)
        gone = subscription is not None and subscription.expires
        if log.status == "DELIVERED" and gone:
            yield f"job {log.job_id}: delivered to expired subscription {log.subscription_id}"
        elif log.status == "FAILED" and not _explained(log, gone, ledgers.setting.push_broken):
            yield f"job {log.job_id}: subscription {log.subscription_id} failed ({log.http_status})"
        elif log.status not in {"DELIVERED", "FAILED"}:
            yield f"job {log.job_id}: log status {log.status} is not final"


def _explained(log: PushLogFact, gone: bool, push_broken: bool) -> bool:
    """A final failure is explained by an expired subscription, or by a receiver that was told to refuse."""
    if log.http_status in _GONE:
        return gone
    return push_broken


def _delivered_is_what_was_accepted(ledgers: Ledgers) -> Iterator[str]:
    endpoints = {item.subscription_id: item.endpoint for item in ledgers.setting.subscriptions}
    templates = {rule.rule_id: rule.template_id for rule in ledgers.setting.rules}
    about = {job.job_id: (job.event_id, templates.get(job.rule_id)) for job in ledgers.database.jobs}
    delivered = Counter(
        (endpoints.get(log.subscription_id, "?"), *about.get(log.job_id, (f"job {log.job_id}", None)))
        for log in ledgers.database.logs
        if log.status == "DELIVERED"
    )
    accepted: Counter[tuple[object, ...]] = Counter(
        (message.endpoint, message.event_id, message.template_id) for message in ledgers.receivers.accepted
    )
    if ledgers.setting.disturbed or ledgers.setting.push_broken:
        # A process killed between the receiver's 201 and its own log leaves a message that nobody logged.
        accepted = accepted & delivered
    yield from _unequal(delivered, accepted, "deliveries logged", "accepted by the receiver")


def _done_jobs_delivered(ledgers: Ledgers) -> Iterator[str]:
    outcomes: dict[int, set[str]] = defaultdict(set)
    for log in ledgers.database.logs:
        outcomes[log.job_id].add(log.status)
    live = {item.member_id for item in ledgers.setting.subscriptions if not item.expires}
    for job in ledgers.database.jobs:
        if _is_belied(job, outcomes[job.job_id], job.member_id in live):
            yield f"job {job.job_id} is {job.status} with outcomes {sorted(outcomes[job.job_id])}"


def _is_belied(job: JobFact, outcomes: set[str], has_live_subscription: bool) -> bool:
    if job.status == "DONE":
        return "DELIVERED" not in outcomes
    if job.status == "CANCELLED":
        return has_live_subscription or bool(outcomes)
    return job.status == "FAILED" and "DELIVERED" in outcomes and "FAILED" not in outcomes


def _unequal(expected: Counter[K], found: Counter[K], wanted: str, got: str) -> Iterator[str]:
    """A sentence for each key whose two counts differ."""
    for key in _keys(expected, found):
        if expected[key] != found[key]:
            yield f"{_name(key)}: {expected[key]} {wanted}, {found[key]} {got}"


def _keys(*counters: Counter[K]) -> Iterable[K]:
    return dict.fromkeys(key for counter in counters for key in counter)


def _name(key: object) -> str:
    if isinstance(key, tuple):
        return "/".join(_name(part) for part in key)
    return str(key) if isinstance(key, UUID | str | int) else repr(key)


CHECKS: Final[dict[str, Check]] = {
    "outbox": _every_row_reached_the_outbox,
    "outbox_status": _outbox_rows_are_final,
    "stored": _stored_exactly_once,
    "duplicate_rows": _no_duplicate_rows,
    "partition_key": _keys_survive,
    "order": _commit_order_is_store_order,
    "duplicates": _duplicates_add_up,
    "dead_letters": _dead_letters_are_the_expected,
    "dispatch": _dispatched_once_per_target,
    "posthog": _posthog_received_what_is_stored,
    "jobs": _jobs_follow_the_rules,
    "push_logs": _each_subscription_has_one_outcome_per_job,
    "push_outcomes": _outcomes_are_true,
    "delivered": _delivered_is_what_was_accepted,
    "job_status": _done_jobs_delivered,
}
