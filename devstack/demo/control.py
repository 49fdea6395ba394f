"""Talking to a running demo: `demo break` and `demo heal` reach it through a socket in its private run directory.

The run directory is made with mode 0700 and its owner is checked, so that nobody else can break a demo or read its
passwords. The protocol is one JSON line each way.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from devstack.elsewhere import remove_elsewhere

_PREFIX: Final = "bongsu-demo-"
_SOCKET: Final = "control.sock"
_CARD: Final = "demo.json"
_OWNER: Final = "pid"
_LONGEST_BASE: Final = 60
_ANSWER_WITHIN_S: Final = 30.0
_MOST_BYTES: Final = 4_096


class ControlError(Exception):
    """The request could not be carried out; the sentence says why."""


class NoSuchDemo(ControlError):
    """No demo of this user runs, or none with that id."""


class SeveralDemos(ControlError):
    """More than one demo runs and none was named."""


@dataclass(frozen=True, slots=True)
class Card:
    """How a running demo presents itself."""

    demo_id: str
    pid: int
    stack: str
    started_at: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a demo says to a request."""

    ok: bool
    text: str


Handler = Callable[[str, str], str]
"""Called with action and target; returns a sentence, raises ControlError."""


def make_run_dir() -> tuple[str, Path]:
    """A fresh private directory for one demo, and the demo's id; what killed demos left behind is removed."""
    for path in _run_dirs():
        if _is_abandoned(path):
            remove_run_dir(path)
    demo_id = secrets.token_hex(3)
    path = _bases()[0] / f"{_PREFIX}{demo_id}"
    path.mkdir(mode=0o700)
    (path / _OWNER).write_text(str(os.getpid()))
    return demo_id, path


def remove_run_dir(path: Path) -> None:
    """Remove the directory with everything in it, and PostgreSQL's data if that lies elsewhere."""
    remove_elsewhere(path)
    shutil.rmtree(path, ignore_errors=True)


def keep_run_dir(path: Path) -> None:
    """Leave the directory to its user: no later demo removes it."""
    (path / _OWNER).unlink(missing_ok=True)


class ControlServer:
    """Serves requests for one demo from its own thread until closed.

    Args:
        run_dir: the demo's private directory.
        card: how it presents itself.
        handler: carries out requests, one at a time.
    """

    def __init__(self, run_dir: Path, card: Card, handler: Handler) -> None:
        self._handler = handler
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(run_dir / _SOCKET))
        self._listener.listen()
        (run_dir / _CARD).write_text(json.dumps(asdict(card)))
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(_ANSWER_WITHIN_S)
                request = json.loads(_line(connection))
                answer = self._answer(str(request["action"]), str(request["target"]))
                connection.sendall(json.dumps(asdict(answer)).encode() + b"\n")

    def _answer(self, action: str, target: str) -> Answer:
        try:
            return Answer(True, self._handler(action, target))
        except Exception as error:  # noqa: BLE001 -- whatever went wrong is told to the one who asked
            return Answer(False, str(error) or repr(error))


def running_demos() -> dict[Path, Card]:
    """The demos of this user that answer, by run directory, oldest first."""
    found = [(path, card) for path in _run_dirs() if (card := _card(path)) is not None]
    return dict(sorted(found, key=lambda item: item[1].started_at))


def ask(action: str, target: str, demo_id: str | None = None) -> Answer:
    """Send a request to the running demo, or to the one named.

    Raises:
        NoSuchDemo: none runs, or none of that id.
        SeveralDemos: several run and none was named.
        ControlError: it did not answer.
    """
    path = choose(running_demos(), demo_id)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_WITHIN_S)
        try:
            connection.connect(str(path / _SOCKET))
            connection.sendall(json.dumps({"action": action, "target": target}).encode() + b"\n")
            said = json.loads(_line(connection))
        except (OSError, ValueError) as error:
            raise ControlError(f"the demo in {path} did not answer: {error}") from error
    return Answer(bool(said["ok"]), str(said["text"]))


def choose(demos: dict[Path, Card], demo_id: str | None) -> Path:
    """Which of the running demos is meant; pure. Raises NoSuchDemo or SeveralDemos."""
    listed = ", ".join(
        f"{card.demo_id} ({card.stack}, since {card.started_at}, pid {card.pid})" for card in demos.values()
    )
    if not demos:
        raise NoSuchDemo("no demo is running; start one with ./bongsu demo")
    if demo_id is not None:
        for path, card in demos.items():
            if card.demo_id == demo_id:
                return path
        raise NoSuchDemo(f"no demo {demo_id} is running; there is {listed}")
    if len(demos) > 1:
        raise SeveralDemos(f"several demos are running, choose one with --demo ID: {listed}")
    return next(iter(demos))


def _bases() -> list[Path]:
    """Where run directories may be: a socket's path is limited to about 100 bytes, so not below a deep TMPDIR."""
    usual = Path(tempfile.gettempdir())
    return [usual] if len(str(usual)) <= _LONGEST_BASE else [Path("/tmp"), usual]  # noqa: S108


def _run_dirs() -> list[Path]:
    """The run directories of this user, whether their demos run or not."""
    return [path for base in dict.fromkeys(_bases()) for path in base.glob(f"{_PREFIX}*") if _is_private(path)]


def _is_abandoned(path: Path) -> bool:
    """Whether the process that made the directory is gone; one without a readable note is left alone."""
    try:
        os.kill(int((path / _OWNER).read_text()), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _is_private(path: Path) -> bool:
    try:
        state = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077


def _card(path: Path) -> Card | None:
    try:
        said: dict[str, Any] = json.loads((path / _CARD).read_text())
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(path / _SOCKET))
        return Card(**said)
    except (OSError, ValueError, TypeError):
        return None


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        more = connection.recv(_MOST_BYTES)
        if not more or len(received) > _MOST_BYTES:
            raise ValueError("the connection ended within a line")
        received += more
    return received
