"""The view shows the figures it is given, and says honestly what runs and how fast its clock is."""

import io

from rich.console import Console

from devstack.demo.figures import STAGES, AlertLine, Figures, History, age, plain_line, size
from devstack.demo.view import Heading, Screen, heading_text, render

HEADING = Heading("a1b2c3", "embedded PostgreSQL and broker", "It forgets everything at the end.", 30.0)


def figures(at_s, count, **more):
    return Figures(at_s=at_s, now_ms=1_000_000, counts=dict.fromkeys(STAGES, count), **more)


def drawn(shown, log_lines=()):
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    console.print(render(HEADING, shown, dict.fromkeys(STAGES, 12.0), log_lines))
    return console.file.getvalue()


def test_rates_are_differences_over_about_five_seconds():
    history = History()
    for second in range(20):
        history.add(figures(float(second), 100 * second))
    assert history.rates() == dict.fromkeys(STAGES, 100.0)


def test_rates_are_zero_before_there_is_a_difference_and_never_negative():
    history = History()
    assert history.rates()["stored"] == 0
    history.add(figures(0.0, 50))
    assert history.rates()["stored"] == 0
    history.add(figures(1.0, 10))
    assert history.rates()["stored"] == 0


def test_an_alert_shows_with_severity_value_and_age():
    alert = AlertLine("push_delivered_ratio", "firing", "critical", 1_000_000 - 75_000, 0.25, 0.8)
    text = drawn(figures(1.0, 5, alerts=(alert,)))
    for part in ("push_delivered_ratio", "firing", "critical", "1 min 15 s", "0.25"):
        assert part in text


def test_everything_unknown_is_called_unknown_and_not_zero():
    text = drawn(figures(1.0, 5, unreachable=("broker",)))
    assert text.count("unknown") == 2
    assert "no answer from broker" in text


def test_lag_dead_letters_and_faults_are_shown():
    shown = figures(
        1.0,
        1_234,
        lag={"bongsu-push": 17},
        slot_bytes=1_500,
        dead_letters={"not_json": 3},
        faults={"push": "answers 500"},
    )
    text = drawn(shown, ["push: a log line"])
    for part in ("bongsu-push", "17", "1.5 kB", "not_json", "push: answers 500", "push: a log line", "1,234"):
        assert part in text


def test_the_heading_tells_limits_and_time_scale():
    assert "30 times faster" in heading_text(HEADING)
    assert "15 min are 30 s" in heading_text(HEADING)
    assert "forgets everything" in heading_text(HEADING)
    assert "production speed" in heading_text(Heading("x", "y", "z", 1.0))


def test_without_a_terminal_plain_lines_come_now_and_then():
    out = io.StringIO()
    with Screen(Console(file=out, width=80), HEADING, line_every_s=2.0) as screen:
        for second in range(5):
            screen.show(figures(float(second), second), dict.fromkeys(STAGES, 1.0), [])
    lines = [line for line in out.getvalue().splitlines() if line.startswith("outbox rows")]
    assert len(lines) == 3


def test_the_plain_line_names_what_is_wrong():
    alert = AlertLine("dispatch_failure_rate", "firing", "warning", 0, None, None)
    line = plain_line(figures(0.0, 1, alerts=(alert,), faults={"posthog": "503"}, unreachable=("postgres",)), {})
    assert "dispatch_failure_rate warning" in line
    assert "broken posthog" in line
    assert "no answer from postgres" in line
    assert "lag ?" in line


def test_durations_and_sizes_are_for_people():
    assert [age(s) for s in (8.9, 65, 7_800)] == ["8 s", "1 min 05 s", "2 h 10 min"]
    assert [size(b) for b in (512, 14_200, 3_100_000, 5_000_000_000)] == ["512 B", "14.2 kB", "3.1 MB", "5000.0 MB"]


def test_a_low_terminal_shows_alerts_processes_and_faults_first():
    alert = AlertLine("push_delivered_ratio", "firing", "critical", 1_000_000 - 75_000, 0.25, 0.8)
    frozen = {"broker": "frozen", "postgres": "frozen"}
    console = Console(file=io.StringIO(), width=60)
    shown = figures(
        1.0, 5, alerts=(alert,), processes={"relay": "running"}, faults=frozen, unreachable=("postgres", "broker")
    )
    console.print(render(HEADING, shown, {}, [], height=12))
    first = "\n".join(console.file.getvalue().splitlines()[:11])
    parts = ("push_delivered_ratio", "relay running", "broker: frozen", "postgres: frozen", "from postgres, broker")
    assert [part for part in parts if part not in first] == []
