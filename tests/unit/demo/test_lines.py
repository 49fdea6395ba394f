"""Log lines and metrics of the demo's processes, made short."""

from devstack.demo.lines import Lines, short
from devstack.demo.scrape import sum_duplicates

EXPOSITION = """# TYPE activity_records_total counter
activity_records_total{result="inserted",topic="cdc.public.user_activity_source_outbox"} 492.0
activity_records_total{result="duplicate",topic="cdc.public.user_activity_source_outbox"} 2.0
activity_records_total{result="duplicate",topic="activity.events"} 8.0
activity_records_created{result="duplicate",topic="activity.events"} 1.79e+09
"""


def test_duplicates_are_summed_over_topics():
    assert sum_duplicates(EXPOSITION) == 10
    assert sum_duplicates("") == 0


def test_a_log_record_becomes_one_short_line():
    line = '{"severity":"warn","event":"push.delivery_failed","error":"gone","time":"..."}'
    assert short("push", line) == "push: WARN push.delivery_failed gone"
    assert short("relay", '{"severity":"info","event":"relay.streaming","message":"streaming"}') == (
        "relay: relay.streaming streaming"
    )


def test_what_is_no_log_record_is_shown_as_it_is():
    assert short("push", "Traceback (most recent call last):") == "push: Traceback (most recent call last):"
    assert short("push", "17") == "push: 17"


def test_lines_are_kept_whole_in_files_and_short_for_the_view(tmp_path):
    lines = Lines(tmp_path)
    for number in range(5):
        lines.take("push", f'{{"event":"a.b","message":"{number}"}}')
    assert lines.last(2) == ["push: a.b 3", "push: a.b 4"]
    assert len((tmp_path / "push.log").read_text().splitlines()) == 5
