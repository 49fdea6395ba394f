"""Reads one counter of a worker's /metrics: how many duplicates the store says it met."""

import urllib.request
from typing import Final

_DUPLICATES: Final = "activity_records_total"


def counted_duplicates(port: int, token: str) -> int | None:
    """Sum over topics; None when the worker does not answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
    try:
        with opener.open(request, timeout=5) as answer:
            return sum_duplicates(answer.read().decode())
    except OSError:
        return None


def sum_duplicates(exposition: str) -> int:
    """The counter's sum over all series with result="duplicate" of a Prometheus text. Pure."""
    total = 0.0
    for line in exposition.splitlines():
        name, brace, rest = line.partition("{")
        if name == _DUPLICATES and brace and 'result="duplicate"' in rest:
            total += float(rest.rpartition("}")[2].split()[0])
    return int(total)
