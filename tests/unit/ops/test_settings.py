"""Settings: where values come from, which source wins, and what a wrong one says."""

import pytest
from pydantic import SecretStr

from ops.errors import ConfigError
from ops.masking import mask_text
from ops.settings import colour_wanted, load, require_role, secret_values, shown
from ops.settings_layers import is_secret, names


def sentences(flags=(), config=None, environ=None):
    with pytest.raises(ConfigError) as caught:
        load(flags, config, environ or {})
    return caught.value.sentences


@pytest.fixture
def toml(tmp_path):
    def write(text, name="bongsu.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    # A bongsu.toml of the checkout must not leak into the tests.
    monkeypatch.chdir(tmp_path)


def test_without_any_source_everything_is_a_default():
    loaded = load((), None, {})
    assert set(loaded.origins) == set(names())
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.settings.database_url is None


def test_each_source_wins_over_the_one_before(toml):
    path = toml("web_push_max_retry = 1\nweb_push_ttl_s = 1\nweb_push_concurrency = 1\n")
    environ = {"WEB_PUSH_TTL_S": "2", "WEB_PUSH_CONCURRENCY": "2"}
    loaded = load(["web_push_concurrency=3"], path, environ)
    settings = loaded.settings
    assert (settings.web_push_max_retry, settings.web_push_ttl_s, settings.web_push_concurrency) == (1, 2, 3)
    assert loaded.origins["web_push_max_retry"] == "bongsu.toml"
    assert loaded.origins["web_push_ttl_s"] == "environment WEB_PUSH_TTL_S"
    assert loaded.origins["web_push_concurrency"] == "flag"
    assert loaded.origins["web_push_timeout_s"] == "default"


def test_the_file_of_the_working_directory_is_read_when_none_is_named(toml):
    toml('log_format = "json"\n')
    assert load((), None, {}).settings.log_format == "json"


def test_of_several_flags_for_one_key_the_last_wins():
    assert load(["slot_name=a", "SLOT_NAME=b"], None, {}).settings.slot_name == "b"


@pytest.mark.parametrize(
    "variable",
    [
        "VAPID_PUBLIC_KEY", "VAPID_PRIVATE_KEY", "VAPID_SUBJECT", "WEB_PUSH_ENABLED", "WEB_PUSH_MAX_RETRY",
        "WEB_PUSH_RETRY_DELAY_MS", "METRICS_TOKEN", "PAYMENTS_ENABLED",
    ],
)  # fmt: skip
def test_the_runbooks_names_work_as_they_stand_there(variable):
    figures = {"WEB_PUSH_ENABLED": "1", "PAYMENTS_ENABLED": "0", "WEB_PUSH_MAX_RETRY": "7"}
    value = figures.get(variable, "1234567890123456")
    loaded = load((), None, {variable: value})
    assert loaded.origins[variable.lower()] == f"environment {variable}"


def test_a_secret_comes_from_a_file_without_the_white_space_around_it(toml):
    path = toml("  s3cret-of-the-broker\n", "password")
    loaded = load((), None, {"KAFKA_SASL_PASSWORD_FILE": str(path)})
    assert loaded.settings.kafka_sasl_password.get_secret_value() == "s3cret-of-the-broker"
    assert loaded.origins["kafka_sasl_password"] == f"file {path}"


def test_a_secret_file_that_cannot_be_read_names_variable_and_path(tmp_path):
    (sentence,) = sentences(environ={"VAPID_PRIVATE_KEY_FILE": str(tmp_path / "absent")})
    assert sentence.startswith("VAPID_PRIVATE_KEY_FILE is")
    assert "absent" in sentence
    assert "No such file" in sentence


def test_a_secret_given_twice_is_refused(toml):
    path = toml("a", "key")
    (sentence,) = sentences(environ={"POSTHOG_API_KEY": "b", "POSTHOG_API_KEY_FILE": str(path)})
    assert "POSTHOG_API_KEY and POSTHOG_API_KEY_FILE are both set" in sentence


def test_only_secrets_may_come_from_a_file(toml):
    path = toml("other", "slot")
    assert load((), None, {"SLOT_NAME_FILE": str(path)}).settings.slot_name == "bongsu"


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "True"])
def test_switches_that_are_on(text):
    assert load((), None, {"WEB_PUSH_ENABLED": text}).settings.web_push_enabled is True


@pytest.mark.parametrize("text", ["0", "false", "False"])
def test_switches_that_are_off(text):
    assert load((), None, {"PAYMENTS_ENABLED": text}).settings.payments_enabled is False


def test_an_empty_variable_counts_as_not_set():
    assert load((), None, {"SLOT_NAME": ""}).origins["slot_name"] == "default"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WEB_PUSH_ENABLED": "yes"}, "WEB_PUSH_ENABLED in the environment is 'yes', expected 0, 1, true or false."),
        (
            {"WEB_PUSH_MAX_RETRY": "many"},
            "WEB_PUSH_MAX_RETRY in the environment is 'many', expected a whole number (retries).",
        ),
        ({"WEB_PUSH_TTL_S": "-1"}, "WEB_PUSH_TTL_S in the environment is '-1', expected at least 0 (seconds)."),
        ({"METRICS_PORT": "70000"}, "METRICS_PORT in the environment is '70000', expected at most 65535 (port)."),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT in the environment is 'xml', expected 'auto', 'json' or 'console'."),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "broker"},
            "KAFKA_BOOTSTRAP_SERVERS in the environment is 'broker', expected host:port, several separated by commas.",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "registry:8081"},
            "SCHEMA_REGISTRY_URL in the environment is 'registry:8081', expected an http:// or https:// address.",
        ),
        (
            {"SLOT_NAME": "Bongsu-1"},
            "SLOT_NAME in the environment is 'Bongsu-1', expected a-z, 0-9 and _, at most 63.",
        ),
    ],
)
def test_a_wrong_value_names_key_value_and_expectation(environ, expected):
    assert sentences(environ=environ) == (expected,)


def test_the_key_is_named_as_its_source_spells_it(toml):
    path = toml("web_push_max_retry = 'many'\n", "my.toml")
    assert sentences(config=path)[0].startswith("web_push_max_retry in my.toml is 'many'")
    assert sentences(flags=["web_push_max_retry=many"])[0].startswith("--set web_push_max_retry is 'many'")


def test_a_wrong_secret_is_not_repeated():
    (sentence,) = sentences(environ={"METRICS_TOKEN": "hunter2"})
    assert sentence == "METRICS_TOKEN in the environment is ********, expected at least 16 characters."


def test_all_problems_are_told_at_once(toml):
    path = toml("slot_nam = 'x'\n[kafka]\nhost = 'a'\n")
    found = sentences(["log_formt=json", "slot_name"], path, {"METRICS_PORT": "x"})
    assert len(found) == 5


def test_unknown_keys_are_refused_with_the_nearest_name(toml):
    path = toml("web_push_max_retries = 3\n", "my.toml")
    (sentence,) = sentences(config=path)
    assert sentence == "web_push_max_retries in my.toml names no setting, did you mean web_push_max_retry?"
    (sentence,) = sentences(["log_formt=json"])
    assert sentence == "--set log_formt names no setting, did you mean log_format?"


def test_a_file_that_is_no_toml_or_does_not_exist(toml, tmp_path):
    assert "is not valid TOML" in sentences(config=toml("a = ", "broken.toml"))[0]
    assert sentences(config=tmp_path / "absent.toml")[0].endswith("does not exist.")


def test_near_misses_in_the_environment_are_warned_about():
    loaded = load((), None, {"WEB_PUSH_ENABLE": "1", "KAFKA_HEAP_OPTS": "-Xmx1g", "POSTHOG_API_KEY_FIL": "x"})
    assert len(loaded.warnings) == 2
    assert "did you mean WEB_PUSH_ENABLED?" in loaded.warnings[1]


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"],
        ),
        ({"KAFKA_SSL_CERTIFICATE_LOCATION": "a.pem"}, ["KAFKA_SSL_KEY_LOCATION"]),
        ({"SCHEMA_REGISTRY_PASSWORD": "x"}, ["SCHEMA_REGISTRY_USERNAME"]),
        ({"METRICS_PORT": "9100"}, ["METRICS_TOKEN"]),
        ({"VAPID_PREVIOUS_PUBLIC_KEY": "x"}, ["VAPID_PREVIOUS_PRIVATE_KEY"]),
    ],
)
def test_settings_that_need_each_other(environ, missing):
    found = " ".join(sentences(environ=environ))
    assert all(name in found for name in missing)


def test_a_role_needs_only_its_own_secrets():
    settings = load((), None, {"WEB_PUSH_ENABLED": "1", "POSTHOG_ENABLED": "1"}).settings
    require_role(settings, "activity")
    with pytest.raises(ConfigError, match="VAPID_PRIVATE_KEY is not set"):
        require_role(settings, "push")
    with pytest.raises(ConfigError, match="POSTHOG_API_KEY is not set"):
        require_role(settings, "posthog")


def test_addresses_that_are_not_set_say_how_to_go_on():
    settings = load((), None, {}).settings
    for ask, name in ((settings.dsn, "DATABASE_URL"), (settings.brokers, "KAFKA_"), (settings.registry, "SCHEMA_")):
        with pytest.raises(ConfigError, match=name):
            ask()


CANARY = "c4n4ry-s3cret-value"


def test_no_secret_shows_in_any_form():
    environ = {name.upper(): CANARY for name in names() if is_secret(name)}
    environ |= {"DATABASE_URL": f"postgresql://u:{CANARY}@h/db", "SCHEMA_REGISTRY_USERNAME": "u"}
    environ["SCHEMA_REGISTRY_URL"] = f"http://u:{CANARY}@registry:8081"
    environ["VAPID_PREVIOUS_PUBLIC_KEY"] = "public"
    settings = load((), None, environ).settings
    assert all(CANARY not in shown(settings, name) for name in names())
    assert shown(settings, "database_url") == "postgresql://u:********@h/db"
    assert CANARY not in str(settings.model_dump(exclude={"schema_registry_url"}))
    assert CANARY in secret_values(settings)
    assert all(isinstance(getattr(settings, name), SecretStr) for name in names() if is_secret(name))


def test_of_the_database_address_only_the_password_is_a_secret_of_the_log():
    address = f"postgresql://u:{CANARY}@db.example:5433/app"
    secrets = secret_values(load((), None, {"DATABASE_URL": address}).settings)
    assert mask_text(f"PostgreSQL ({address}), {CANARY}", secrets) == (
        "PostgreSQL (postgresql://u:********@db.example:5433/app), ********"
    )
    assert secret_values(load((), None, {"DATABASE_URL": "postgresql://u@db.example/app"}).settings) == ()


def test_colour_follows_no_color():
    assert colour_wanted({})
    assert colour_wanted({"NO_COLOR": ""})
    assert not colour_wanted({"NO_COLOR": "1"})
