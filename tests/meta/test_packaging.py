"""An application, never a wheel: pins, hashes, names."""

import importlib.metadata
import re
import tomllib

import pytest

from tests.meta.tree import PACKAGES, ROOT

LOCKS = ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)


def pins(lock):
    return dict(PIN.findall((ROOT / lock).read_text("utf-8")))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed_and_names_no_host(lock):
    text = (ROOT / lock).read_text("utf-8")
    assert pins(lock)
    assert "://" not in text
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "==" in block.splitlines()[0], block
        assert "--hash=sha256:" in block, block


def test_the_larger_environments_hold_the_smaller_ones():
    runtime, demo, dev = (pins(lock) for lock in LOCKS)
    assert runtime.items() <= demo.items() <= dev.items()


def test_every_dependency_of_the_project_is_in_the_lock():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in project["dependencies"]}
    assert names <= {name.replace("_", "-") for name in pins("requirements.lock")}


def test_faust_is_pinned_to_the_version_that_the_engine_knows():
    assert pins("requirements.lock")["faust-streaming"] == "0.15.3"
    assert pins("requirements.lock")["aiokafka"] == "0.14.0"


def test_no_installed_distribution_provides_a_package_of_ours():
    assert not set(PACKAGES) & set(importlib.metadata.packages_distributions())


def test_the_project_is_never_built_or_uploaded():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "build-system" not in project
    assert project["tool"]["uv"]["package"] is False
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]
