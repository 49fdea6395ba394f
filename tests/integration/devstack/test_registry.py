"""The embedded schema registry, spoken to by Confluent's own client."""

import json
import urllib.error
import urllib.request

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from devstack.registry import start_registry

pytestmark = pytest.mark.integration

FIELDS = [{"name": "id", "type": "long"}]
RECORD = {"type": "record", "name": "E", "fields": FIELDS}
WIDER = {"type": "record", "name": "E", "fields": [*FIELDS, {"name": "note", "type": "string"}]}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    registry = start_registry(tmp_path_factory.mktemp("registry"))
    yield registry.url
    registry.stop()


@pytest.fixture
def client(url):
    with SchemaRegistryClient({"url": url, "max.retries": 0}) as client:
        yield client


def avro(schema):
    return Schema(json.dumps(schema), "AVRO")


def refusal(call, *arguments):
    with pytest.raises(SchemaRegistryError) as caught:
        call(*arguments)
    return caught.value.http_status_code, caught.value.error_code


def test_one_schema_has_one_id_whatever_its_spacing_key_order_and_subject(client, url):
    first = client.register_schema("a-value", avro(RECORD))
    spaced = {"fields": FIELDS, "name": "E", "type": "record"}
    with SchemaRegistryClient({"url": url}) as other:
        assert other.register_schema("b-value", Schema(json.dumps(spaced, indent=2), "AVRO")) == first
    assert client.register_schema("a-value", avro(WIDER)) != first


def test_a_schema_is_found_by_id_subject_and_version(client):
    schema_id = client.register_schema("found-value", avro(RECORD))

    assert json.loads(client.get_schema(schema_id).schema_str) == RECORD
    latest = client.get_latest_version("found-value")
    assert (latest.schema_id, latest.version, latest.subject) == (schema_id, 1, "found-value")
    assert client.get_version("found-value", 1).schema_id == schema_id
    assert client.lookup_schema("found-value", avro(RECORD)).version == 1
    assert client.get_versions("found-value") == [1]
    assert "found-value" in client.get_subjects()


def test_registering_again_makes_no_version(client, url):
    client.register_schema("again-value", avro(RECORD))
    with SchemaRegistryClient({"url": url}) as other:
        other.register_schema("again-value", avro(RECORD))

    assert client.get_versions("again-value") == [1]


def test_what_is_not_there_is_refused_with_the_registrys_codes(client):
    client.register_schema("there-value", avro(RECORD))

    assert refusal(client.get_schema, 9999) == (404, 40403)
    assert refusal(client.get_latest_version, "nowhere") == (404, 40401)
    assert refusal(client.get_version, "there-value", 7) == (404, 40402)
    assert refusal(client.lookup_schema, "nowhere", avro(RECORD)) == (404, 40401)
    assert refusal(client.lookup_schema, "there-value", avro(WIDER)) == (404, 40403)


@pytest.mark.parametrize(
    "schema",
    [
        Schema("not json", "AVRO"),
        Schema('{"type": "record", "name": "E"}', "AVRO"),
        Schema('"no.such.Type"', "AVRO"),
        Schema("{}", "JSON"),
    ],
)
def test_what_is_no_avro_schema_is_refused(client, schema):
    assert refusal(client.register_schema, "bad-value", schema) == (422, 42201)
    assert "bad-value" not in client.get_subjects()


def test_a_compatibility_level_is_kept_and_enforced(client):
    assert client.get_compatibility() == "NONE"
    client.register_schema("strict-value", avro(RECORD))
    client.set_compatibility("strict-value", "BACKWARD")

    assert client.get_compatibility("strict-value") == "BACKWARD"
    assert client.get_compatibility() == "NONE"
    assert refusal(client.register_schema, "strict-value", avro(WIDER)) == (409, 409)
    assert client.get_versions("strict-value") == [1]
    assert refusal(client.set_compatibility, "strict-value", "SIDEWAYS") == (422, 42203)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing/here", None, 404),
        ("DELETE", "/subjects", None, 405),
        ("POST", "/subjects/x/versions", b"{", 400),
        ("POST", "/subjects/x/versions", b"[]", 400),
        ("POST", "/subjects/x/versions", b"{}", 422),
        ("GET", "/schemas/ids/none", None, 404),
    ],
)
def test_every_error_is_json_with_a_code(url, method, path, body, status):
    asked = urllib.request.Request(url + path, data=body, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked)
    with caught.value as error:
        answer = json.load(error)
    assert error.code == status
    assert set(answer) == {"error_code", "message"}
