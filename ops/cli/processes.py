"""`up`, `relay` and `worker`: the verbs that run until they are told to stop."""

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType

import click

from ops.cli.session import Session
from ops.cli.verbs import Verbs, pass_session
from ops.errors import ConfigError, OperatorError
from ops.exit_codes import ExitCode
from ops.roles import ROLES
from ops.supervisor import ProcessSpec, ProcessState, Status, Supervisor

_WATCH_S = 0.2
_LAST_PORT = 65_535
_EVENTS = {status: f"process.{status.value}" for status in Status}
_NEEDS_NO_DATABASE = frozenset({"windows"})


def register(root: Verbs) -> None:
    """Add the verbs of this module."""

    @root.verb(
        "up", examples=["./bongsu up", "./bongsu up --only relay --only activity", "LOG_FORMAT=json ./bongsu up"]
    )
    @click.option(
        "--only",
        "only",
        multiple=True,
        type=click.Choice(("relay", *ROLES)),
        help="Run these instead of the relay and every role; repeatable.",
    )
    @pass_session
    def up(session: Session, only: tuple[str, ...]) -> int:
        """Run the relay and every worker role.

        They are child processes of this one. What ends is started again after 0.5 to 30 s; what ends five times in a
        minute is left alone and named. Ctrl-C or SIGTERM stops all of them. METRICS_PORT is the relay's; the others
        take the ports behind it.
        """
        return _up(session, only or ("relay", *ROLES))

    @root.verb("relay", examples=["./bongsu relay", "./bongsu relay --set slot_name=bongsu_blue"])
    @pass_session
    def relay(session: Session) -> int:
        """Relay committed inserts to the change topics.

        Reads PostgreSQL's log through one replication slot. A second relay waits and takes over when the first ends.
        """
        return _run(session, "relay")

    @root.verb("worker", examples=["./bongsu worker activity", "./bongsu worker push --set web_push_concurrency=20"])
    @click.argument("role", type=click.Choice(ROLES))
    @pass_session
    def worker(session: Session, role: str) -> int:
        """Run one stream role. Start it several times to share the partitions of its topics."""
        return _run(session, role)


def _run(session: Session, role: str) -> int:
    """Check, wait, serve metrics, run. An unknown exception is logged with its stacks and ends with 1."""
    import structlog

    from ops.metrics_server import serving
    from ops.settings import require_role
    from ops.startup import wait_for_dependencies

    settings = session.settings
    require_role(settings, role)
    session.log_to_stderr(role)
    log = structlog.get_logger("ops")
    try:
        wait_for_dependencies(
            settings,
            database=role not in _NEEDS_NO_DATABASE,
            say=lambda sentence: log.warning("start.waiting", message=sentence),
        )
        log.info("process.started", dependencies="reachable")
        with serving(settings):
            return _work(session, role)
    except OperatorError as error:
        log.error("process.refused", message=str(error), exit_code=int(error.exit_code))
        return error.exit_code
    except Exception:
        log.exception("process.failed")
        return ExitCode.FAILED


def _work(session: Session, role: str) -> int:
    if role == "relay":
        # Not through ops.wiring: a relay that imports Faust starts half a second later.
        from ops.wiring_relay import run_relay

        return run_relay(session.settings)
    from ops.wiring import run_worker

    return run_worker(session.settings, role)


def child_argv(session: Session, name: str, index: int) -> list[str]:
    """The command line of one child: this interpreter, the same global options, JSON logs, a port of its own."""
    verb = [name] if name == "relay" else ["worker", name]
    port = session.settings.metrics_port
    ports = ["--set", f"metrics_port={port + index}"] if port else []
    return [
        sys.executable, "-m", "ops", *verb, *session.child_flags(), "--set", "log_format=json", *ports,
    ]  # fmt: skip


def _check_before_start(session: Session, names: tuple[str, ...]) -> None:
    """What would make a child refuse is said once, here, instead of by six crash loops."""
    from ops.settings import require_role

    settings = session.settings
    problems: list[str] = []
    last = settings.metrics_port + len(names) - 1
    if settings.metrics_port and last > _LAST_PORT:
        problems.append(
            f"METRICS_PORT is {settings.metrics_port}, expected at most {_LAST_PORT + 1 - len(names)}: "
            f"{len(names)} processes take that port and the ones behind it."
        )
    checks: list[Callable[[], object]] = [settings.dsn, settings.brokers, settings.registry]
    checks += [partial(require_role, settings, name) for name in names]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.sentences
    if problems:
        raise ConfigError(*dict.fromkeys(problems))


def _up(session: Session, names: tuple[str, ...]) -> int:
    from ops.child_lines import readable
    from ops.logs import renders_console

    _check_before_start(session, names)
    session.log_to_stderr("up")
    console = renders_console(session.settings.log_format, sys.stderr)
    colour = session.colour_on(sys.stderr.isatty())
    lock = threading.Lock()

    def show(name: str, line: str) -> None:
        text = readable(name, line, colour=colour) if console else line
        with lock:
            print(text, file=sys.stderr, flush=True)

    specs = [ProcessSpec(name, child_argv(session, name, index)) for index, name in enumerate(names)]
    supervisor = Supervisor(specs, show, on_state=_log_state)
    return _until_stopped(supervisor)


def _log_state(state: ProcessState) -> None:
    import structlog

    log = structlog.get_logger("ops.up")
    fields = {"process": state.name, "pid": state.pid, "exit_code": state.last_exit_code, "restarts": state.restarts}
    match state.status:
        case Status.CRASH_LOOP:
            log.error(
                "process.crash_loop",
                message=f"{state.name} ended five times within a minute and is left alone; the others go on",
                **fields,
            )
        case Status.REFUSED:
            log.error(
                "process.refused",
                message=f"{state.name} says that starting again cannot help; see its last lines",
                **fields,
            )
        case Status.BACKING_OFF:
            log.warning("process.restarting", **fields)
        case _:
            log.info(_EVENTS[state.status], **fields)


def _until_stopped(supervisor: Supervisor) -> int:
    """Run until a signal, or until nothing is left to run. Ctrl-C gives 130, SIGTERM 0, all crashed 1."""
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        supervisor.start()
        while not asked and not supervisor.wait(_WATCH_S):
            pass
        supervisor.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not asked:
        return ExitCode.FAILED
    return ExitCode.INTERRUPTED if signal.SIGINT in asked else ExitCode.OK
