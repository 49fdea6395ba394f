"""Free TCP ports on the loopback address, for servers that cannot be told to choose one themselves."""

import contextlib
import socket

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different ports nobody listens on at this moment.

    All are bound before any is released, so that one call never hands out a port twice. Between the
    return and the server's own bind another process may take one; whoever starts the server reports that.
    """
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind((LOOPBACK, 0))
        return tuple(int(bound.getsockname()[1]) for bound in sockets)


def free_port() -> int:
    """One port nobody listens on at this moment."""
    return free_ports(1)[0]


def accepts(port: int, *, timeout_s: float = 0.2) -> bool:
    """Whether something accepts TCP connections on this loopback port right now."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False
