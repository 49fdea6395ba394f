"""Settings that name a file: a file that cannot be read is told before anything starts."""

from collections.abc import Iterable
from pathlib import Path

from ops.settings_model import Settings

KAFKA_FILES = ("kafka_ssl_ca_location", "kafka_ssl_certificate_location", "kafka_ssl_key_location")
PUSH_FILES = ("web_push_ca_file",)


def files_of_role(role: str) -> tuple[str, ...]:
    """The settings whose files one role opens."""
    return (*KAFKA_FILES, *PUSH_FILES) if role == "push" else KAFKA_FILES


def unreadable_files(settings: Settings, names: Iterable[str]) -> list[str]:
    """One sentence for each of these settings that names a file which cannot be opened."""
    found = []
    for name in names:
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            found.append(f"{name.upper()} is '{path}', which cannot be read: {error.strerror}.")
    return found
