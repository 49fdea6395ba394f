"""Templates: looked up, never evaluated; what is missing becomes nothing."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.roles.rendering import fill, push_message, topic_of, variables_of
from tests.unit.roles.role_records import push_job, push_template


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{name}: {excerpt}", "Mina: "),
        ("{count} likes, {ok}, {none}.", "3 likes, true, ."),
        ("{group.name} / {group.missing} / {name.first}", "Ramen /  / "),
        ("{tags}", '["a","b"]'),
        ("{0} {} { name } {name!r} {name:>10} {{name}}", "{0} {} { name } {name!r} {name:>10} {Mina}"),
        ("{__class__.__init__.__globals__}", ""),
    ],
)
def test_placeholders(template, filled):
    variables = {"name": "Mina", "count": 3, "ok": True, "none": None, "group": {"name": "Ramen"}, "tags": ["a", "b"]}
    assert fill(template, variables) == filled


def test_variables_in_a_url_are_encoded():
    assert fill("/groups/{id}?q={q}", {"id": "../x", "q": "라면&a=1"}, in_url=True) == (
        "/groups/..%2Fx?q=%EB%9D%BC%EB%A9%B4%26a%3D1"
    )


@pytest.mark.parametrize("text", ["", "[]", "oops", "null"])
def test_variables_that_are_no_object_count_as_none(text):
    assert variables_of(text) == {}


def test_a_message_carries_the_rendered_template():
    message = push_message(push_job(), push_template(), ttl_s=600)
    payload = json.loads(message.payload)
    assert (payload["title"], payload["body"], payload["url"]) == (
        "Your group is ready",
        "The group Ramen was created.",
        "/groups/7",
    )
    assert (message.ttl_s, message.urgency, message.topic) == (600, "normal", payload["tag"])


def test_the_template_may_ask_for_a_shorter_ttl():
    assert push_message(push_job(), push_template(ttl_s=60), ttl_s=600).ttl_s == 60


def test_long_variables_keep_the_payload_small():
    job = push_job(variables=json.dumps({"name": "라" * 10_000}))
    assert len(push_message(job, push_template(), ttl_s=60).payload) < 3052


@given(st.text(min_size=1))
def test_a_topic_is_32_characters_of_base64url_and_the_same_on_every_retry(dedup_key):
    key = dedup_key.encode("utf-8", "replace").decode()
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", topic_of(key))
    assert topic_of(key) == topic_of(key)


def test_two_jobs_have_two_topics():
    assert topic_of("event:1") != topic_of("event:2")
