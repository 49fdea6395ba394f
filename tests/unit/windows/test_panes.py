import pytest

from streams.windows.panes import Layout, layout_for

MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("windows_ms", "pane_ms"),
    [
        ((15 * MINUTE_MS, 10 * MINUTE_MS), 10_000),
        ((5 * MINUTE_MS,), 5_000),
        ((24 * 60 * MINUTE_MS,), 10_000),
        ((15_000, 10_000), 1_000),
        ((), 10_000),
    ],
)
def test_panes_are_a_sixtieth_of_the_shortest_window_in_whole_seconds(windows_ms, pane_ms):
    assert layout_for(windows_ms).pane_ms == pane_ms


def test_a_block_of_ten_second_panes_is_an_hour():
    assert Layout(10_000).block_ms == 60 * MINUTE_MS


@pytest.mark.parametrize(
    ("at_ms", "block_start_ms", "pane_index"),
    [(1, 0, 0), (1_000, 0, 0), (1_001, 0, 1), (360_000, 0, 359), (360_001, 360_000, 0)],
)
def test_panes_and_blocks_leave_out_their_start_and_hold_their_end(at_ms, block_start_ms, pane_index):
    layout = Layout(1_000)
    assert layout.block_start_ms(at_ms) == block_start_ms
    assert layout.pane_index(at_ms) == pane_index


@pytest.mark.parametrize(("watermark_ms", "end_ms"), [(999, 0), (1_000, 0), (1_001, 1_000), (2_500, 2_000)])
def test_a_pane_is_over_once_the_watermark_has_passed_its_end(watermark_ms, end_ms):
    # At the end itself another commit of the same millisecond may follow.
    assert Layout(1_000).last_end_before(watermark_ms) == end_ms


def test_windows_are_whole_panes():
    assert Layout(1_000).whole_panes_ms(1_001) == 2_000
    assert Layout(1_000).whole_panes_ms(2_000) == 2_000
