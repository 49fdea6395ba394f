"""docs/configuration.md is made from the model and in step with it."""

from pathlib import Path

from ops.settings_layers import is_secret, names
from ops.settings_model import Settings
from ops.settings_page import extra, render

PAGE = Path(__file__).resolve().parents[3] / "docs/configuration.md"


def test_the_page_is_in_step():
    assert PAGE.read_text("utf-8") == render(), "run: python -m ops.settings_page > docs/configuration.md"


def test_every_setting_says_what_it_means_and_figures_say_their_unit():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert extra(field, "group"), name
        if field.annotation in (int, float):
            assert extra(field, "unit"), name


def test_units_in_names_are_the_declared_units():
    endings = {"_s": "seconds", "_ms": "milliseconds", "_bytes": "bytes", "_port": "port"}
    for name, field in Settings.model_fields.items():
        for ending, unit in endings.items():
            if name.endswith(ending) and field.annotation in (int, float):
                assert extra(field, "unit") == unit, name


def test_secrets_and_only_they_are_listed_with_their_file():
    text = render()
    for name in names():
        assert (f"`{name.upper()}_FILE`" in text) == is_secret(name)
