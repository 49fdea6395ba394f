"""Free ports."""

import socket

from devstack.ports import LOOPBACK, accepts, free_port, free_ports


def test_one_call_gives_different_ports():
    assert len(set(free_ports(20))) == 20


def test_accepts_tells_a_listener_from_none():
    with socket.create_server((LOOPBACK, 0)) as listener:
        assert accepts(listener.getsockname()[1])
    assert not accepts(free_port())
