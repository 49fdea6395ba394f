from importlib import resources

import pytest

from streams.alerts.rules import RulesInvalid, load_rules, shipped_rules

SHIPPED = resources.files("streams.alerts").joinpath("rules.toml").read_text("utf-8")


def test_the_shipped_rules_say_what_the_runbooks_say():
    push, dispatch = shipped_rules().rules
    assert push.annotations["runbook"].startswith("000_")
    assert push.annotations["runbook"].endswith(" L21")
    assert dispatch.annotations["runbook"].endswith(" L39 L262")
    assert [(level.severity, level.condition.op, level.condition.value) for level in push.levels] == [
        ("warning", "<", 0.90),
        ("critical", "<", 0.80),
    ]
    assert [(level.severity, level.condition.op, level.condition.value) for level in dispatch.levels] == [
        ("warning", ">=", 0.10),
        ("critical", ">=", 0.50),
    ]
    assert (push.window_ms, dispatch.window_ms) == (900_000, 600_000)
    assert (push.hold_ms, push.ratio.min_samples) == (300_000, 20)
    assert [level.priority for level in push.levels] == ["P2", "P1"]


def test_the_time_scale_divides_windows_holds_and_panes():
    real, fast = shipped_rules(), shipped_rules(60)
    assert (real.layout.pane_ms, fast.layout.pane_ms) == (10_000, 1_000)
    assert (fast.rules[0].window_ms, fast.rules[0].hold_ms) == (15_000, 5_000)
    assert real.rules[0].version == fast.rules[0].version, "the definition is the same"


def test_a_window_is_whole_panes():
    assert shipped_rules(7).rules[0].window_ms % shipped_rules(7).layout.pane_ms == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("version = 1", "version = 2", "version: 2; this release reads 1"),
        ("version = 1", "version = ", "not TOML"),
        ("version = 1\n", "", "`version` is missing"),
        ('window = "15m"', 'window = "15 minutes"', "rule push_delivered_ratio: `window` is '15 minutes'; a duration"),
        ('window = "15m"', 'window = "0s"', "`window` is empty"),
        ('for = "0s"', 'for = "soon"', "level 1: `for` is 'soon'"),
        ('hold = "5m"', "hold = 5", "resolve: `hold` is 5"),
        ("min_samples = 20", "min_samples = 0", "`min_samples` is a whole number from 1"),
        ('op = "<", value = 0.90', 'op = "=<", value = 0.90', "op '=<' is none of < <= > >="),
        ("value = 0.90, severity", 'value = "0.9", severity', "`value` is a number"),
        ('severity = "warning"', 'severity = "bad"', "severity 'bad' is none of warning, critical"),
        ('severity = "warning"', 'severity = "critical"', "each severity has at most one level"),
        ('severity = "warning" }', 'severity = "warning", priority = "P9" }', "priority 'P9'"),
        ('signal = "push_outcomes"', 'signal = "nothing"', "signal 'nothing' is not defined"),
        ('numerator = "delivered"', 'numerator = "sent"', "signal push_outcomes has no sum 'sent'"),
        ('id = "ua_dispatch_failure_rate"', 'id = "push_delivered_ratio"', "the id push_delivered_ratio is used twice"),
        ('unit = "ratio"', 'unit = "ratio"\nwindwo = "1m"', "`windwo` is not known here"),
        ("line = 21", 'line = "21"', "`line` is the number of the quoted line"),
        ('summary = "Too', 'summary = ""\n# "', "`summary` is text"),
        ("add = 1, where", "add = 1.5, where", "`add` is a whole number or the name of an integer column"),
        ('["DELIVERED", "FAILED"]', '"DELIVERED"', "`where` gives each column a list of values"),
        (
            'table = "dispatch_attempts"\nkey_column = "id"',
            'table = "push_message_logs"\nkey_column = "x"',
            "key_column",
        ),
    ],
)
def test_a_mistake_is_named(before, after, said):
    assert before in SHIPPED
    with pytest.raises(RulesInvalid) as refused:
        load_rules(SHIPPED.replace(before, after, 1))
    assert said in str(refused.value)


@pytest.mark.parametrize("time_scale", [0.5, 0, -1, float("nan")])
def test_time_is_never_slowed_down(time_scale):
    with pytest.raises(RulesInvalid, match="time_scale"):
        shipped_rules(time_scale)
