"""The version of this checkout, read from pyproject.toml: the single place where it is written."""

import tomllib
from functools import cache
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@cache
def version() -> str:
    """`project.version` of pyproject.toml, or `unknown` when the file was not shipped along."""
    try:
        text = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8")
        return str(tomllib.loads(text)["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
