"""Requests reach the one demo that is meant, privately, and errors come back as sentences."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.demo import control
from devstack.demo.control import (
    Card,
    ControlError,
    ControlServer,
    NoSuchDemo,
    SeveralDemos,
    ask,
    choose,
    keep_run_dir,
    make_run_dir,
    remove_run_dir,
    running_demos,
)
from devstack.elsewhere import make_elsewhere


@pytest.fixture
def base(tmp_path, monkeypatch):
    short = Path(os.path.realpath("/tmp")) / f"h8-{os.getpid()}-{abs(hash(str(tmp_path))) % 10_000}"
    short.mkdir()
    monkeypatch.setattr(control.tempfile, "gettempdir", lambda: str(short))
    yield short
    remove_run_dir(short)


def serve(handler, started_at="2026-11-21T08:00:00Z"):
    demo_id, run_dir = make_run_dir()
    return demo_id, run_dir, ControlServer(run_dir, Card(demo_id, 1, "embedded", started_at), handler)


def test_the_run_directory_is_private(base):
    _, run_dir = make_run_dir()
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700


def test_a_request_is_carried_out_and_answered(base):
    _, _, server = serve(lambda action, target: f"{action} {target}: done")
    try:
        assert ask("break", "push") == control.Answer(True, "break push: done")
    finally:
        server.close()


def test_an_error_comes_back_as_a_sentence(base):
    def refuse(action, target):
        raise ControlError("push is broken already")

    _, _, server = serve(refuse)
    try:
        assert ask("break", "push") == control.Answer(False, "push is broken already")
    finally:
        server.close()


def test_without_a_demo_it_says_how_to_start_one(base):
    with pytest.raises(NoSuchDemo, match="bongsu demo"):
        ask("break", "push")


def test_a_demo_that_ended_is_not_listed(base):
    _, _, server = serve(lambda action, target: "")
    server.close()
    assert running_demos() == {}


def test_a_directory_that_others_may_read_is_not_trusted(base):
    _, run_dir, server = serve(lambda action, target: "")
    try:
        run_dir.chmod(0o755)
        assert running_demos() == {}
    finally:
        server.close()


def test_what_a_killed_demo_left_behind_is_removed_by_the_next_one(base):
    _, abandoned = make_run_dir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (abandoned / "pid").write_text(str(ended.pid))
    _, unmarked = make_run_dir()
    (unmarked / "pid").unlink()
    _, alive = make_run_dir()
    assert [path.exists() for path in (abandoned, unmarked, alive)] == [False, True, True]


def test_data_that_lies_elsewhere_goes_with_its_run_directory(base):
    _, abandoned = make_run_dir()
    home = abandoned / "postgres-18"
    home.mkdir()
    elsewhere = make_elsewhere(home)
    assert elsewhere.parent == base
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (abandoned / "pid").write_text(str(ended.pid))
    make_run_dir()
    assert [path.exists() for path in (abandoned, elsewhere)] == [False, False]


def test_a_note_of_a_foreign_path_removes_nothing(base):
    _, run_dir = make_run_dir()
    foreign = base / "foreign"
    foreign.mkdir()
    (run_dir / "postgres-18").mkdir()
    (run_dir / "postgres-18" / "elsewhere").write_text(str(foreign))
    remove_run_dir(run_dir)
    assert [path.exists() for path in (run_dir, foreign)] == [False, True]


def test_a_kept_directory_is_left_alone(base):
    _, kept = make_run_dir()
    keep_run_dir(kept)
    assert list(kept.iterdir()) == []


def test_of_several_one_must_be_named():
    demos = {
        Path("a"): Card("aaa", 1, "embedded", "2026-11-21T08:00:00Z"),
        Path("b"): Card("bbb", 2, "real", "2026-11-21T08:01:00Z"),
    }
    with pytest.raises(SeveralDemos, match=r"aaa.*bbb"):
        choose(demos, None)
    assert choose(demos, "bbb") == Path("b")
    with pytest.raises(NoSuchDemo, match="ccc"):
        choose(demos, "ccc")
