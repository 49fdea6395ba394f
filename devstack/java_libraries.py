"""The Java side: is there a Java and a Maven, and where are the jars of Kafka, Connect and Debezium.

`libraries()` resolves devstack/java/pom.xml once into the user's cache directory, under a name made from
the pom's hash, so that a changed version never meets old jars.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from platformdirs import user_cache_path

JAVA_HOME = Path(__file__).parent / "java"
MINIMUM_JAVA = 17
MAVEN_TIMEOUT_S = 600
# C1 only and a serial collector: these processes live for seconds to minutes on a few cores.
JVM_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class JavaMissing(Exception):
    """Java or Maven is absent, too old, or could not fetch the jars; the text is one sentence that says so."""


def java_program() -> str:
    """The `java` to use; raises JavaMissing."""
    java = shutil.which("java")
    if java is None:
        raise JavaMissing(f"Real Kafka needs Java {MINIMUM_JAVA} or newer: no `java` on the PATH.")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', said.stderr)
    if version is None or int(version[1]) < MINIMUM_JAVA:
        first_line = (said.stderr.splitlines() or ["no answer"])[0]
        raise JavaMissing(f"Real Kafka needs Java {MINIMUM_JAVA} or newer; `java -version` says: {first_line}.")
    return java


def libraries() -> Path:
    """The directory with all jars, fetched with Maven the first time (100 jars, 60 MB).

    Raises JavaMissing when Maven is absent or fails.
    """
    pom = JAVA_HOME / "pom.xml"
    name = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    wanted = user_cache_path("bongsu") / "java" / name
    if wanted.is_dir():
        return wanted
    maven = shutil.which("mvn")
    if maven is None:
        raise JavaMissing("Real Kafka needs Maven once, to fetch its jars: no `mvn` on the PATH.")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    fetched = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=wanted.parent))
    try:
        _fetch(maven, pom, fetched)
        # Several runs may fetch at once: whoever renames first wins, the others' copies are the same.
        if not wanted.is_dir():
            fetched.rename(wanted)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return wanted


def _fetch(maven: str, pom: Path, into: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    command = [maven, "--quiet", "--batch-mode", "--file", str(pom), *goal]
    said = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAVEN_TIMEOUT_S, check=False
    )
    if said.returncode:
        raise JavaMissing(f"Maven could not fetch the jars of Kafka and Debezium:\n{said.stdout[-2000:]}")


def java_command(main_class: str, *arguments: str | Path) -> Sequence[str | Path]:
    """The argv that runs one of the jars' programs; raises JavaMissing."""
    logging = f"-Dlog4j2.configurationFile={JAVA_HOME / 'log4j2.properties'}"
    return [java_program(), *JVM_OPTIONS, logging, "-cp", f"{libraries()}/*", main_class, *arguments]


def write_properties(path: Path, properties: Mapping[str, str]) -> Path:
    """Write a Java properties file for names and values without line breaks; returns its path."""
    escaped = (f"{name}={value.replace(chr(92), chr(92) * 2)}" for name, value in properties.items())
    path.write_text("\n".join(escaped) + "\n")
    return path
