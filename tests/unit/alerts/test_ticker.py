"""Phase one and the evaluator together, through their handlers."""

import pytest

from streams.engine.outcomes import Transient
from tests.unit.alerts.evaluating import Stand
from tests.unit.windows.changes import PROGRESS, batch_of
from topics.publisher import PublishFailed

BASE = 1_700_000_000


@pytest.fixture
def stand():
    return Stand()


async def test_an_alert_fires_rises_and_resolves(stand):
    for second in range(BASE, BASE + 3):
        await stand.second(second, 20, 0)
    assert stand.log() == []
    await stand.second(BASE + 3, 0, 8)
    assert stand.log() == [("firing", "warning", 1)]
    await stand.second(BASE + 4, 0, 60)
    for second in range(BASE + 5, BASE + 40):
        await stand.second(second, 10, 0)
    assert stand.log() == [("firing", "warning", 1), ("firing", "critical", 2), ("resolved", "critical", 3)]
    alerts = stand.publisher.alerts
    assert len({(alert["id"], alert["startsAt"]) for alert in alerts}) == 1
    assert alerts[0]["value"] == pytest.approx(60 / 68)
    assert alerts[0]["startsAt"] == (BASE + 3) * 1_000
    assert {message.key.decode() for message in stand.publisher.messages} == {alerts[0]["fingerprint"]}


async def test_a_kill_at_any_second_changes_nothing():
    traffic = [(20, 0)] * 3 + [(0, 8), (0, 60)] + [(10, 0)] * 35
    logs = []
    for kills in (set(), {3}, {4}, {5}, {6, 7, 8}, set(range(40))):
        stand = Stand()
        for place, (delivered, failed) in enumerate(traffic):
            if place in kills:
                stand.restart()
            await stand.second(BASE + place, delivered, failed)
        logs.append(stand.publisher.alerts)
    assert len(logs[0]) == 3
    assert all(log == logs[0] for log in logs)


async def test_a_kill_between_publication_and_memory_fires_once(stand):
    await stand.second(BASE, 20, 0)
    before = dict(stand.states)
    await stand.second(BASE + 1, 0, 60)
    assert stand.log() == [("firing", "critical", 1)]
    dict.clear(stand.states)
    dict.update(stand.states, before)
    stand.restart()
    for second in range(BASE + 2, BASE + 40):
        await stand.second(second, 10, 0)
    assert stand.log() == [("firing", "critical", 1), ("resolved", "critical", 2)]
    assert len({alert["id"] for alert in stand.publisher.alerts}) == 1


async def test_a_publication_that_fails_is_tried_again_with_the_same_record(stand):
    await stand.second(BASE, 20, 0)
    stand.publisher.failures.append(PublishFailed("alerts", "broker is away", retriable=True))
    with pytest.raises(Transient, match="broker is away"):
        await stand.second(BASE + 1, 0, 60)
    assert stand.log() == []
    await stand.progress((BASE + 1) * 1_000 + 2)
    assert stand.log() == [("firing", "critical", 1)]


async def test_a_publication_that_cannot_succeed_ends_the_process(stand):
    stand.publisher.failures.append(PublishFailed("alerts", "not allowed", retriable=False))
    with pytest.raises(PublishFailed):
        await stand.second(BASE, 0, 60)


async def test_progress_waits_for_the_view_without_holding_up_anybody(stand):
    await stand.second(BASE, 20, 0)
    await stand.pushes((BASE + 1) * 1_000, 0, 60)
    handled = await stand.progress((BASE + 1) * 1_000 + 1)
    assert handled.refusals == ()
    assert stand.log() == []
    stand.follow()
    await stand.pushes((BASE + 2) * 1_000, 1, 0)
    await stand.progress((BASE + 2) * 1_000 + 1)
    assert stand.log() == [("firing", "critical", 1)], "the older watermark was reached, the newer one was not"


async def test_an_owner_waits_until_it_has_read_what_others_wrote(stand):
    await stand.second(BASE, 20, 0)
    stand.restart()
    stand.reader.current = False
    await stand.second(BASE + 1, 0, 60)
    assert stand.log() == []
    stand.reader.current = True
    await stand.progress((BASE + 1) * 1_000 + 2)
    assert stand.log() == [("firing", "critical", 1)]
    assert stand.reader.questions == 1


async def test_an_outage_is_caught_up_tick_by_tick_in_event_time(stand):
    await stand.second(BASE, 20, 0)
    for second in range(BASE + 1, BASE + 30):
        await stand.pushes(second * 1_000, *((0, 60) if second == BASE + 10 else (20, 0)))
    stand.follow()
    await stand.progress((BASE + 30) * 1_000)
    (alert,) = stand.publisher.alerts[:1]
    assert alert["startsAt"] == (BASE + 10) * 1_000


async def test_history_is_marked_as_replayed(stand):
    stand.now_ms = (BASE + 10_000) * 1_000
    await stand.second(BASE, 0, 60)
    assert [alert["replayed"] for alert in stand.publisher.alerts] == [True]
    stand.now_ms = 0
    await stand.second(BASE + 1, 0, 1)
    assert [(alert["replayed"], alert["generation"]) for alert in stand.publisher.alerts] == [(True, 1), (False, 2)]


async def test_ticks_whose_panes_have_expired_hold_everything(stand):
    await stand.second(BASE, 0, 60)
    later = BASE + 10 * stand.rules.retention_ms // 1_000
    stand.now_ms = later * 1_000
    await stand.second(later, 30, 0)
    assert stand.log() == [("firing", "critical", 1)]
    for second in range(later + 1, later + 4):
        await stand.second(second, 30, 0)
    assert stand.log() == [("firing", "critical", 1)], "the gap does not count towards the resolve hold"
    for second in range(later + 4, later + 8):
        await stand.second(second, 30, 0)
    assert stand.log()[-1] == ("resolved", "critical", 2)


async def test_a_source_clock_that_is_a_day_fast_is_passed_over(stand):
    await stand.second(BASE, 20, 0)
    stand.follow()
    ahead_ms = (BASE + 86_400) * 1_000
    stand.now_ms = BASE * 1_000
    await stand.evaluator.handle(
        batch_of(PROGRESS, [b'{"epoch":"7-1","lsn":1,"commit_ms":%d,"end_offsets":{}}' % ahead_ms], generation=1)
    )
    await stand.second(BASE + 1, 0, 60)
    assert stand.log() == [("firing", "critical", 1)]


async def test_progress_that_cannot_be_read_is_refused(stand):
    handled = await stand.evaluator.handle(batch_of(PROGRESS, [None, b"{", b"{}"]))
    assert [refusal.reason for refusal in handled.refusals] == ["null_value", "not_json", "missing_field"]


async def test_too_few_samples_never_fire(stand):
    for second in range(BASE, BASE + 20):
        await stand.second(second, 0, 1)
    assert stand.log() == []


async def test_the_memory_is_written_after_the_states_it_goes_with(stand):
    await stand.second(BASE, 0, 60)
    assert stand.states.changelog[-1][0] == b"evaluator"
    written = len(stand.states.changelog)
    await stand.progress(BASE * 1_000 + 2)
    assert len(stand.states.changelog) == written, "no tick is due: nothing is written"


async def test_a_rule_that_is_gone_ends_its_alert(stand):
    await stand.second(BASE, 0, 60)
    stand.rules = type(stand.rules)(stand.rules.rules[1:], stand.rules.layout, stand.rules.time_scale)
    stand.restart()
    await stand.progress((BASE + 1) * 1_000 + 1)
    last = stand.publisher.alerts[-1]
    assert (last["status"], last["resolve_reason"], last["generation"]) == ("resolved", "rule_removed", 2)
