"""Endpoints are typed in by strangers: which are posted to, which are not, and how they are named."""

import pytest

from sinks.webpush.addresses import is_public_address
from sinks.webpush.endpoints import BadEndpoint, Endpoint, Service, check_endpoint, endpoint_name, host_matches
from tests.unit.sinks.hostile_endpoints import HOSTILE_ENDPOINTS

GOOD = [
    ("https://fcm.googleapis.com/fcm/send/abc:APA91b_-x", Service.FCM),
    ("https://fcm.googleapis.com:443/fcm/send/abc", Service.FCM),
    ("https://android.googleapis.com/gcm/send/abc", Service.FCM),
    ("https://updates.push.services.mozilla.com/wpush/v2/gAAAA", Service.MOZILLA),
    ("https://web.push.apple.com/QGuQyavXutnMH", Service.APPLE),
    ("https://db5p.notify.windows.com/w/?token=BQYAAAD%2b", Service.WNS),
    ("HTTPS://FCM.GOOGLEAPIS.COM/fcm/send/abc", Service.FCM),
]


@pytest.mark.parametrize(("endpoint", "service"), GOOD)
def test_known_push_services_are_never_blocked(endpoint, service):
    checked = check_endpoint(endpoint)
    assert isinstance(checked, Endpoint)
    assert checked.service is service


@pytest.mark.parametrize("endpoint", HOSTILE_ENDPOINTS)
def test_hostile_endpoints_are_refused(endpoint):
    assert isinstance(check_endpoint(endpoint), BadEndpoint)


def test_the_corpus_is_large_enough_to_mean_something():
    assert len(set(HOSTILE_ENDPOINTS)) >= 40


def test_the_path_is_sent_exactly_as_stored():
    endpoint = "https://db5p.notify.windows.com/w/?token=BQYAAAD%2b%2f..%2F&x=%41"
    assert str(check_endpoint(endpoint).url) == endpoint


def test_the_origin_is_the_vapid_audience():
    assert check_endpoint("https://fcm.googleapis.com:443/x").origin == "https://fcm.googleapis.com"
    local = check_endpoint("https://127.0.0.1:8443/x", extra_hosts=("127.0.0.1",), allow_private=True)
    assert local.origin == "https://127.0.0.1:8443"


def test_configured_hosts_are_added_exactly():
    extra = ("push.example.org", "*.up.example")
    assert isinstance(check_endpoint("https://push.example.org/x", extra_hosts=extra), Endpoint)
    assert isinstance(check_endpoint("https://a.up.example/x", extra_hosts=extra), Endpoint)
    assert isinstance(check_endpoint("https://evilpush.example.org/x", extra_hosts=extra), BadEndpoint)
    assert isinstance(check_endpoint("https://up.example/x", extra_hosts=extra), BadEndpoint)


def test_test_receivers_still_need_https_and_the_allow_list():
    assert isinstance(check_endpoint("http://127.0.0.1/x", extra_hosts=("127.0.0.1",), allow_private=True), BadEndpoint)
    assert isinstance(check_endpoint("https://127.0.0.1:1/x", allow_private=True), BadEndpoint)


def test_suffixes_match_whole_labels():
    assert host_matches("web.push.apple.com", "*.push.apple.com")
    assert not host_matches("push.apple.com", "*.push.apple.com")
    assert not host_matches("evilpush.apple.com", "*.push.apple.com")


def test_names_tell_endpoints_apart_and_cannot_be_sent_to():
    one, other = "https://fcm.googleapis.com/fcm/send/token-1", "https://fcm.googleapis.com/fcm/send/token-2"
    assert endpoint_name(one).startswith("fcm.googleapis.com#")
    assert endpoint_name(one) != endpoint_name(other)
    assert "token" not in endpoint_name(one)
    assert endpoint_name("\ud800 not a URL").startswith("?#")
    assert "token-1" not in repr(check_endpoint(one))


PUBLIC = ["142.250.74.74", "2a00:1450:4001:81c::200a", "17.188.128.1", "1.1.1.1"]
NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:142.250.74.74", "64:ff9b::7f00:1", "64:ff9b::8efa:4a4a", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:db8::1", "2002:7f00:1::", "2002:8efa:4a4a::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1", "2a00:1450::1%1", "fcm.googleapis.com", "", "0x7f.1", "2130706433",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public_address(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address):
    assert not is_public_address(address)
