"""RFC 8291: the RFC's own example, round trips, and keys that must end as a refusal and not as an exception."""

import base64

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.user_agent import Undecryptable, UserAgent, b64url_decode, b64url_encode, decrypt
from sinks.ports import PushTarget
from sinks.webpush.encryption import HARD_PAYLOAD_LIMIT, BadSubscriptionKeys, PayloadTooLarge, encrypt

# RFC 8291, Appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
AS_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
UA_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
UA_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
MESSAGE = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7"
    "A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
ENDPOINT = "https://fcm.googleapis.com/fcm/send/x"


def private_key(text):
    return ec.derive_private_key(int.from_bytes(b64url_decode(text), "big"), ec.SECP256R1())


def target(p256dh, auth):
    return PushTarget(1, ENDPOINT, p256dh, auth)


@pytest.fixture(scope="module")
def browser():
    return UserAgent(b"a secret of this test")


def test_the_example_of_the_rfc_is_decrypted():
    plaintext = decrypt(b64url_decode(MESSAGE), private_key(UA_PRIVATE), b64url_decode(UA_PUBLIC), b64url_decode(AUTH))
    assert plaintext == PLAINTEXT


def test_the_encoder_in_use_makes_the_message_of_the_rfc():
    body = http_ece.encrypt(
        PLAINTEXT,
        salt=b64url_decode(SALT),
        private_key=private_key(AS_PRIVATE),
        dh=b64url_decode(UA_PUBLIC),
        auth_secret=b64url_decode(AUTH),
        version="aes128gcm",
    )
    assert b64url_encode(body) == MESSAGE


@pytest.mark.parametrize("length", [1, 300, 3052, HARD_PAYLOAD_LIMIT])
def test_what_is_encrypted_the_browser_reads(browser, length):
    secret = browser.auth_secret("s")
    body = encrypt(target(browser.p256dh, b64url_encode(secret)), b"x" * length)
    assert browser.decrypt(body, secret) == b"x" * length
    assert len(body) <= 4096


def test_salt_and_key_are_fresh_for_each_message(browser):
    whom = target(browser.p256dh, b64url_encode(browser.auth_secret("s")))
    one, other = encrypt(whom, b"same"), encrypt(whom, b"same")
    assert one[:16] != other[:16]
    assert one[21:86] != other[21:86]


def test_one_octet_too_many_would_need_a_second_record(browser):
    with pytest.raises(PayloadTooLarge):
        encrypt(target(browser.p256dh, b64url_encode(bytes(16))), b"x" * (HARD_PAYLOAD_LIMIT + 1))
    with pytest.raises(ValueError, match="payload"):
        encrypt(target(browser.p256dh, b64url_encode(bytes(16))), b"")


def test_another_browser_cannot_read_it(browser):
    body = encrypt(target(browser.p256dh, b64url_encode(browser.auth_secret("s"))), b"x")
    with pytest.raises(Undecryptable):
        browser.decrypt(body, browser.auth_secret("t"))
    with pytest.raises(Undecryptable):
        browser.decrypt(body[:-1] + bytes([body[-1] ^ 1]), browser.auth_secret("s"))
    with pytest.raises(Undecryptable):
        browser.decrypt(body[:50], browser.auth_secret("s"))


GOOD_AUTH = b64url_encode(bytes(range(16)))
NOT_ON_CURVE = b64url_encode(b"\4" + bytes([7]) * 64)
COMPRESSED = b64url_encode(b"\2" + bytes(32))


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", GOOD_AUTH), ("!!", GOOD_AUTH), ("A", GOOD_AUTH), ("AAAA", GOOD_AUTH), (NOT_ON_CURVE, GOOD_AUTH),
        (COMPRESSED, GOOD_AUTH), (b64url_encode(bytes(65)), GOOD_AUTH), ("é" * 87, GOOD_AUTH),
        (UA_PUBLIC[:-4], GOOD_AUTH),
        (UA_PUBLIC + "AAAA", GOOD_AUTH), (" " + UA_PUBLIC, GOOD_AUTH), (UA_PUBLIC.replace("_", "!"), GOOD_AUTH),
        (UA_PUBLIC, ""), (UA_PUBLIC, "!!"), (UA_PUBLIC, b64url_encode(bytes(8))), (UA_PUBLIC, b64url_encode(bytes(17))),
        (UA_PUBLIC, GOOD_AUTH + "\n"), (UA_PUBLIC, "null"),
    ],
)  # fmt: skip
def test_hostile_keys_are_one_kind_of_refusal(p256dh, auth):
    with pytest.raises(BadSubscriptionKeys):
        encrypt(target(p256dh, auth), b"x")


def test_standard_base64_with_padding_is_accepted(browser):
    secret = browser.auth_secret("s")
    standard = base64.b64encode(browser.public_point).decode(), base64.b64encode(secret).decode()
    assert browser.decrypt(encrypt(target(*standard), b"x"), secret) == b"x"
