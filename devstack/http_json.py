"""One blocking GET of a JSON document on loopback, for readiness checks."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any


class HttpFailed(Exception):
    """Nobody answered, or not with 200 and JSON."""


def get_json(url: str, *, timeout_s: float = 2.0) -> Any:
    """The document at `url`; raises HttpFailed. Proxies of the environment are not asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as answer:
            return json.load(answer)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise HttpFailed(f"{url}: {error}") from error
