"""/metrics behind its token, /livez without one, and a port that is taken."""

import http.client
import socket

import pytest
from pydantic import SecretStr

from ops.errors import Conflict
from ops.metrics_server import Heartbeat, MetricsServer, authorised, liveness, serving
from ops.settings_model import Settings

TOKEN = "0123456789abcdef"


@pytest.fixture
def server():
    one = MetricsServer("127.0.0.1", 0, TOKEN, Heartbeat())
    yield one
    one.close()


def get(port, path, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Authorization": token} if token else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body, answer.headers


def test_metrics_need_the_token(server):
    assert get(server.port, "/metrics")[0] == 401
    assert get(server.port, "/metrics", "Bearer wrong")[0] == 401
    status, body, headers = get(server.port, "/metrics", f"Bearer {TOKEN}")
    assert status == 200
    assert "python_info" in body
    assert headers["Cache-Control"] == "no-store"
    assert "Python" not in headers["Server"]


def test_liveness_needs_none_and_other_paths_do_not_exist(server):
    assert get(server.port, "/livez")[:2] == (200, "ok\n")
    assert get(server.port, "/")[0] == 404
    assert get(server.port, "/metrics/..", f"Bearer {TOKEN}")[0] == 404


def test_a_loop_that_no_longer_ticks_is_not_live():
    now = [0.0]
    heart = Heartbeat(lambda: now[0])
    now[0] = 1_000.0
    assert liveness(heart.age_s())[0] == 200, "a start may take its time"
    heart.beat()
    now[0] += 29
    assert liveness(heart.age_s())[0] == 200
    now[0] += 2
    assert liveness(heart.age_s()) == (503, "stalled: no tick for 31 s\n")


@pytest.mark.parametrize(
    "header", [None, "", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN} ", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_only_the_exact_header_passes(header):
    assert not authorised(header, TOKEN)
    assert authorised(f"Bearer {TOKEN}", TOKEN)


def test_a_port_that_is_taken_names_the_setting():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"METRICS_PORT are 127.0.0.1:{port}.*Choose another METRICS_PORT") as caught:
            MetricsServer("127.0.0.1", port, TOKEN)
    assert caught.value.exit_code == 6


def test_port_zero_serves_nothing_and_another_is_served_while_the_block_runs():
    with serving(Settings()):
        pass
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(Settings(metrics_port=port, metrics_token=SecretStr(TOKEN))):
        assert get(port, "/livez")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(port, "/livez")
