"""The receivers as processes: one JSON line, a control door, and an end when stdin closes."""

import json
import subprocess
import sys
import urllib.request

import pytest

from tests.meta.tree import ROOT


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


@pytest.fixture(params=["push_receiver", "posthog_receiver"])
def process(request):
    with subprocess.Popen(
        [sys.executable, "-m", f"devstack.{request.param}"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        yield started, json.loads(started.stdout.readline())
        if started.poll() is None:
            started.kill()


def test_it_is_controlled_and_ends_with_its_stdin(process):
    started, line = process
    base = line.get("control_url", line["url"])
    assert call(f"{base}/control", {"mode": "503", "retry_after": 2}) == {"ok": True}
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(f"{base}/control", {"mode": "nonsense"})
    assert "mode must be" in caught.value.read().decode()
    caught.value.close()
    if "control_url" in line:
        made = call(f"{base}/subscribe", {"count": 3000})["subscriptions"]
        assert len({one["endpoint"] for one in made}) == 3000
        assert set(call(f"{base}/subscribe")) == {"subscription", "endpoint", "p256dh", "auth"}
        assert call(f"{base}/accepted") == {"total": 0, "messages": []}
        assert call(f"{base}/stats")["received"] == 0
    else:
        with pytest.raises(urllib.error.HTTPError) as refused:
            call(f"{base}/batch/", {})
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "2")
        refused.value.close()
        assert call(f"{base}/uuids") == {}
        assert call(f"{base}/stats")["answered"] == {"503": 1}
    started.stdin.close()
    assert started.wait(5) == 0
