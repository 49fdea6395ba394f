"""Masks: enough to recognise what one knows, too little to learn what one does not."""

import pytest

from ops.masking import (
    MASK,
    mask_connection,
    mask_endpoint,
    mask_id,
    mask_text,
    mask_value,
    names_a_secret,
    passwords_in,
)


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("user_abcdef123", "user_abc..."),
        ("order_9", "order_9..."),
        ("8f14e45f-ceea-467f", "8f1..."),
        (42, "4..."),
        ("김철수민", "김철수..."),
        ("", "..."),
    ],
)
def test_ids_keep_their_kind_and_three_characters(value, masked):
    assert mask_id(value) == masked


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://bongsu:pa55word@db:5432/app",
        "https://user:pa55word@registry:8081/subjects",
        "host=db password=pa55word dbname=app",
        "host=db password='pa55word with \\' quote' dbname=app",
        "postgresql://db/app?user=u&password=pa55word&sslmode=require",
        "connection to postgresql://u:pa55word@h failed, password = pa55word",
    ],
)
def test_passwords_in_connections_are_hidden_wherever_they_stand(text):
    masked = mask_connection(text)
    assert "pa55word" not in masked
    assert MASK in masked
    assert mask_text(text) == masked
    assert any("pa55word" in found for found in passwords_in(text))


def test_what_is_no_password_stays_readable():
    assert mask_connection("postgresql://bongsu@db:5432/app") == "postgresql://bongsu@db:5432/app"
    assert mask_connection("http://127.0.0.1:8081") == "http://127.0.0.1:8081"
    assert mask_connection("see a:b@c") == "see a:b@c"


def test_known_secrets_are_hidden_in_any_text_but_short_ones_would_blank_words():
    assert mask_text("key phc_abcdef used", ["phc_abcdef"]) == f"key {MASK} used"
    assert mask_text("a word", ["a"]) == "a word"


def test_bearer_and_vapid_tokens_are_hidden():
    assert mask_text("Authorization: Bearer abc.def-123456") == f"Authorization: Bearer {MASK}"
    assert "eyJ0eXAi" not in mask_text("vapid t=eyJ0eXAiOiJK.x.y, k=BPub")


@pytest.mark.parametrize("key", ["password", "METRICS_TOKEN", "api_key", "apiKey", "Authorization", "p256dh", "auth"])
def test_keys_that_hold_secrets(key):
    assert names_a_secret(key)


@pytest.mark.parametrize("key", ["author", "claim_token", "vapid_public_key", "partition_key", "topic"])
def test_keys_that_do_not(key):
    assert not names_a_secret(key)


def test_masks_reach_into_nested_values():
    value = {"a": [{"password": "x", "note": "pw hunter22 here"}], "b": (b"hunter22", 5), "token": None}
    assert mask_value(value, ("hunter22",)) == {
        "a": [{"password": MASK, "note": f"pw {MASK} here"}],
        "b": [MASK, 5],
        "token": None,
    }


def test_an_endpoint_keeps_its_host_and_can_be_compared():
    first = mask_endpoint("https://fcm.googleapis.com/fcm/send/abc:def")
    assert first.startswith("fcm.googleapis.com/...")
    assert "abc" not in first
    assert first == mask_endpoint("https://fcm.googleapis.com/fcm/send/abc:def")
    assert first != mask_endpoint("https://fcm.googleapis.com/fcm/send/abc:deg")
