"""Demos to test against: embedded, and on real Kafka with PostgreSQL 15 and 18."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from devstack.demo.control import make_run_dir, remove_run_dir
from devstack.demo.session import Demo, Options
from devstack.java_libraries import JavaMissing
from devstack.postgres import PostgresMissing

STACKS = [
    pytest.param({"stack": "embedded"}, id="embedded", marks=pytest.mark.integration),
    pytest.param({"stack": "real", "postgres": 15}, id="kafka-postgres15", marks=pytest.mark.real),
    pytest.param({"stack": "real", "postgres": 18}, id="kafka-postgres18", marks=pytest.mark.real),
]


@contextlib.contextmanager
def running_demo(request: pytest.FixtureRequest, options: Options) -> Iterator[Demo]:
    """A demo without traffic; skips with the reason, or fails with --require-real, where a part is missing."""
    _, run_dir = make_run_dir()
    demo = Demo(options, run_dir)
    try:
        with _missing_parts_skip(request), demo:
            try:
                yield demo
            except BaseException:
                _show_logs(demo)
                raise
    finally:
        remove_run_dir(run_dir)


@contextlib.contextmanager
def _missing_parts_skip(request: pytest.FixtureRequest) -> Iterator[None]:
    try:
        yield
    except (JavaMissing, PostgresMissing) as error:
        if request.config.getoption("--require-real"):
            pytest.fail(f"--require-real: {error}")
        pytest.skip(str(error))


def _show_logs(demo: Demo) -> None:
    """Printed lines appear in the report of the failed test."""
    for name, state in demo.process_states().items():
        print(f"--- {name}, {state}:\n{demo.troubles(name)}")


def eventually(what: Callable[[], object], within_s: float, saying: str) -> object:
    """Ask until the answer is true, and return it; fails with `saying` when time runs out."""
    deadline_s = time.monotonic() + within_s
    while not (answer := what()):
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {within_s:g} s: {saying}")
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module", params=STACKS)
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """One demo per stack and module, all processes running, nothing written yet."""
    with running_demo(request, Options(**request.param, seed=5, rows=1_000, audited=True)) as running:
        yield running
