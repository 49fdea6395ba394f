"""What the reaper kills when its parent is gone."""

from devstack.reaper import surviving


def test_only_what_was_not_withdrawn():
    assert surviving(["+10\n", "+11\n", "-10\n", "+12\n"]) == {11, 12}


def test_withdrawing_twice_or_the_unknown_is_harmless():
    assert surviving(["+10\n", "-10\n", "-10\n", "-99\n"]) == set()
