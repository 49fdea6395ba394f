"""Directories outside a run directory that belong to it, noted inside it so that removing the one removes the other.

Root's PostgreSQL runs as a user who cannot enter a private run directory, so its data has to lie elsewhere.
"""

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "bongsu-postgres-"
_NOTE: Final = "elsewhere"


def make_elsewhere(home: Path) -> Path:
    """Make a private directory among the system's temporary ones and note it in `home`, which exists."""
    path = Path(tempfile.gettempdir()) / f"{PREFIX}{secrets.token_hex(8)}"
    # Noted before it exists: whoever is killed in between leaves a note too many, not a directory too many.
    (home / _NOTE).write_text(str(path))
    path.mkdir(mode=0o700)
    return path


def remove_elsewhere(run_dir: Path) -> None:
    """Remove what the parts that live in `run_dir` have noted; other paths than ours are left alone."""
    for note in run_dir.glob(f"*/{_NOTE}"):
        path = Path(note.read_text())
        if path.name.startswith(PREFIX) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
