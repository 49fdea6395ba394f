"""Which IP addresses a push may be sent to: public ones, judged without trusting any tunnel prefix. Pure."""

import ipaddress

_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier-grade NAT
        "169.254.0.0/16",  # link-local, cloud metadata
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "::/96",  # v4-compatible
        "::ffff:0:0/96",  # v4-mapped
        "64:ff9b::/96",  # NAT64: carries any v4 address
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",  # Teredo: carries any v4 address
        "2002::/16",  # 6to4: carries any v4 address
        "fec0::/10",
    )
)


def is_public_address(text: str) -> bool:
    """True for a unicast address on the public Internet; False for anything else, unreadable text included."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if getattr(address, "scope_id", None):
        return False
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return False
    return not any(address.version == network.version and address in network for network in _REFUSED_NETWORKS)
