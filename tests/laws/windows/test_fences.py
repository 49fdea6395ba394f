"""The order of fences is total, and grows along any log."""

from hypothesis import given
from hypothesis import strategies as st

from streams.windows.fence import Fence, Fresh, Mark, from_record, judge, rank, to_record

SMALL = st.integers(0, 3)
KEYS = st.sampled_from("abc")

fences = st.builds(
    Fence,
    epoch=st.sampled_from(("7-1", "7-2", "8-1")),
    left=st.lists(st.sampled_from(("7-1", "9-1")), max_size=2).map(tuple),
    epochs_left=SMALL,
    previous_commit_lsn=SMALL,
    tx_id=SMALL,
    lsn=SMALL,
    keys=st.frozensets(KEYS, max_size=2),
)
marks = st.builds(
    Mark,
    epoch=st.sampled_from(("7-1", "7-2", "8-1")),
    previous_commit_lsn=SMALL,
    tx_id=SMALL,
    lsn=SMALL,
    key=KEYS,
)


@given(one=fences, other=fences, third=fences)
def test_the_order_is_total(one, other, third):
    assert (rank(one) == rank(other)) == (one == other)
    assert (rank(one) < rank(other)) + (rank(other) < rank(one)) + (one == other) == 1
    if rank(one) <= rank(other) <= rank(third):
        assert rank(one) <= rank(third)
    assert rank(None) < rank(one)


@given(log=st.lists(marks, max_size=12))
def test_a_fence_only_grows_and_knows_what_it_has_just_counted(log):
    fence = None
    for mark in log:
        verdict = judge(fence, mark)
        if isinstance(verdict, Fresh):
            assert rank(verdict.fence) > rank(fence)
            fence = verdict.fence
        assert not isinstance(judge(fence, mark), Fresh), "counted or refused, never counted twice in a row"


@given(fence=fences)
def test_a_fence_survives_its_bytes(fence):
    assert from_record(to_record(fence)) == fence
    assert from_record(to_record(None)) is None
