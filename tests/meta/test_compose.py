"""docker-compose.yml without an engine: every command is a verb that exists, every variable a setting that exists."""

import re

import click
import pytest
import yaml

from ops.roles import ROLES
from ops.settings_model import Settings
from tests.meta.tree import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("build")}
THIRD_PARTY = {name: service for name, service in SERVICES.items() if not service.get("build")}


def verb(words):
    """The click command that `words` names, with the words that are left as its arguments."""
    from ops.__main__ import main

    command = main
    rest = list(words)
    while rest and isinstance(command, click.Group):
        command = command.get_command(click.Context(command), rest.pop(0))
        assert command is not None, f"no verb {' '.join(words)}"
    return command, rest


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_a_verb_that_exists(name):
    command, rest = verb(OURS[name]["command"])
    command.make_context(command.name, rest, resilient_parsing=False)


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting_that_exists(name):
    environment = OURS[name]["environment"]
    assert {key.lower() for key in environment} <= set(Settings.model_fields)


def test_every_role_has_a_service():
    commands = [service["command"] for service in OURS.values()]
    assert all(["worker", role] in commands for role in ROLES)
    assert ["relay"] in commands
    assert ["migrate"] in commands


@pytest.mark.parametrize("name", sorted(THIRD_PARTY))
def test_images_are_pinned_and_checked_for_health(name):
    service = THIRD_PARTY[name]
    assert re.search(r":\d+\.\d+(\.\d+)?$", service["image"]), service["image"]
    assert service["healthcheck"]["test"]


def test_everything_starts_after_what_it_needs():
    for name, service in OURS.items():
        for needed in service["depends_on"]:
            assert needed in SERVICES, f"{name} waits for {needed}, which does not exist"


def test_no_password_has_a_default_and_no_port_is_published():
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert "${POSTGRES_PASSWORD:?" in text
    assert not re.search(r"\$\{[A-Z_]*(PASSWORD|PRIVATE|API_KEY)[A-Z_]*:-[^}]", text)
    assert not [name for name, service in SERVICES.items() if service.get("ports")]


def test_the_image_holds_every_production_package():
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for package in ("schemas", "topics", "capture", "streams", "sinks", "ops"):
        assert f"COPY {package} ./{package}" in dockerfile
    assert "devstack" not in dockerfile
