"""VAPID: settings judged before the first push, one token per origin, renewed in time, two keys at once."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.user_agent import BadVapid, VapidReader
from sinks.webpush.vapid import (
    RENEW_BEFORE_S,
    TOKEN_LIFE_S,
    BadVapidKey,
    VapidHeaders,
    VapidKey,
    VapidPair,
    check_vapid,
    generate_vapid_pair,
    vapid_key_id,
)

SUBJECT = "mailto:ops@example.com"
FCM = "https://fcm.googleapis.com"
NOW_S = 1_800_000_000.0


def claims_of(header):
    token = header.split("t=")[1].split(",")[0]
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("subject", [SUBJECT, "mailto:a.b+c@mail.example.co.kr", "https://example.com/contact"])
def test_good_settings_have_nothing_wrong(subject):
    pair = generate_vapid_pair()
    assert check_vapid(pair.public, pair.private, subject) == []


@pytest.mark.parametrize(
    "subject",
    [
        "", "ops@example.com", "mailto:", "mailto:@example.com", "mailto:ops", "mailto:ops@localhost",
        "mailto: ops@example.com", "mailto:<ops@example.com>", "mailto:ops@example.com ", "mailto:ops@mail.localhost",
        "http://example.com", "https://localhost", "https://", "https://127.0.0.1/", "https://exa mple.com", "tel:+82",
    ],
)  # fmt: skip
def test_subjects_that_services_answer_with_403(subject):
    pair = generate_vapid_pair()
    faults = check_vapid(pair.public, pair.private, subject)
    assert len(faults) == 1
    assert "VAPID_SUBJECT" in faults[0]


def test_keys_of_two_pairs_are_noticed():
    one, other = generate_vapid_pair(), generate_vapid_pair()
    assert "not a pair" in check_vapid(one.public, other.private, SUBJECT)[0]
    with pytest.raises(BadVapidKey):
        VapidKey(VapidPair(one.public, other.private))


@pytest.mark.parametrize(
    ("public", "private", "names"),
    [
        ("", None, ["VAPID_PUBLIC_KEY"]),
        (None, "", ["VAPID_PRIVATE_KEY"]),
        ("BAAA", None, ["VAPID_PUBLIC_KEY"]),
        ("not base64 at all!", None, ["VAPID_PUBLIC_KEY"]),
        (None, "AAAA", ["VAPID_PRIVATE_KEY"]),
        (None, base64.urlsafe_b64encode(bytes(32)).decode(), ["VAPID_PRIVATE_KEY"]),
        (base64.urlsafe_b64encode(b"\4" + bytes([9]) * 64).decode(), None, ["VAPID_PUBLIC_KEY"]),
        ("x", "y", ["VAPID_PUBLIC_KEY", "VAPID_PRIVATE_KEY"]),
    ],
)
def test_unreadable_keys_are_named_and_not_shown(public, private, names):
    pair = generate_vapid_pair()
    faults = check_vapid(
        pair.public if public is None else public, pair.private if private is None else private, SUBJECT
    )
    assert [fault.split()[0] for fault in faults] == names
    assert not any(pair.private in fault for fault in faults)


def test_private_keys_are_read_as_raw_der_and_pem():
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    public = base64.urlsafe_b64encode(point).decode()
    forms = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, *forms).decode()
    der = base64.b64encode(key.private_bytes(serialization.Encoding.DER, *forms)).decode()
    raw = base64.urlsafe_b64encode(key.private_numbers().private_value.to_bytes(32, "big")).decode()
    assert [check_vapid(public, private, SUBJECT) for private in (pem, der, raw)] == [[], [], []]


def test_a_header_is_what_a_push_service_accepts():
    headers = VapidHeaders(generate_vapid_pair(), SUBJECT)
    key_id = headers.resolve(None)
    claims = VapidReader().read(headers.header(FCM, key_id, NOW_S), FCM, NOW_S)
    assert claims.subject == SUBJECT
    assert NOW_S < claims.expires_s <= NOW_S + 24 * 3600


def test_the_audience_of_one_service_never_reaches_another():
    headers = VapidHeaders(generate_vapid_pair(), SUBJECT)
    key_id = headers.resolve(None)
    mozilla = "https://updates.push.services.mozilla.com"
    assert claims_of(headers.header(FCM, key_id, NOW_S))["aud"] == FCM
    assert claims_of(headers.header(mozilla, key_id, NOW_S))["aud"] == mozilla
    with pytest.raises(BadVapid):
        VapidReader().read(headers.header(FCM, key_id, NOW_S), mozilla, NOW_S)


def test_a_token_is_reused_until_an_hour_before_it_expires():
    headers = VapidHeaders(generate_vapid_pair(), SUBJECT)
    key_id = headers.resolve(None)
    first = headers.header(FCM, key_id, NOW_S)
    assert headers.header(FCM, key_id, NOW_S + TOKEN_LIFE_S - RENEW_BEFORE_S - 1) == first
    renewed = headers.header(FCM, key_id, NOW_S + TOKEN_LIFE_S - RENEW_BEFORE_S + 1)
    assert claims_of(renewed)["exp"] > claims_of(first)["exp"]


def test_a_token_signed_while_the_clock_was_ahead_is_signed_anew():
    headers = VapidHeaders(generate_vapid_pair(), SUBJECT)
    key_id = headers.resolve(None)
    headers.header(FCM, key_id, NOW_S + 7 * 86_400)
    assert claims_of(headers.header(FCM, key_id, NOW_S))["exp"] <= NOW_S + 24 * 3600


def test_two_keys_sign_at_once_and_a_third_is_nobodys():
    current, previous = generate_vapid_pair(), generate_vapid_pair()
    headers = VapidHeaders(current, SUBJECT, [previous])
    ids = vapid_key_id(current.public), vapid_key_id(previous.public)
    assert headers.resolve(None) == ids[0]
    assert [headers.resolve(key_id) for key_id in ids] == list(ids)
    assert headers.resolve("0123456789abcdef") is None
    keys = [VapidReader().read(headers.header(FCM, key_id, NOW_S), FCM, NOW_S).public_key for key_id in ids]
    assert keys == [current.public, previous.public]


def test_the_key_id_does_not_depend_on_padding_or_alphabet():
    public = generate_vapid_pair().public
    assert (
        vapid_key_id(public) == vapid_key_id(public + "=") == vapid_key_id(public.replace("-", "+").replace("_", "/"))
    )


def test_a_bad_subject_stops_the_start():
    with pytest.raises(ValueError, match="VAPID_SUBJECT"):
        VapidHeaders(generate_vapid_pair(), "mailto:ops@localhost")


def test_the_private_key_is_not_in_a_repr():
    pair = generate_vapid_pair()
    assert pair.private not in repr(pair)
