"""The two receivers of a demo as processes: starting them, telling them how to answer, reading what they got."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from devstack.demo.ledger import Accepted
from devstack.http_json import HttpFailed, get_json
from devstack.processes import Child, Command, python_module, spawn

_START_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A subscription as a browser hands it to an application."""

    endpoint: str
    p256dh: str
    auth: str


class Receivers:
    """Both receivers, running. `start_receivers` builds them.

    Attributes:
        push_url, posthog_url: where they receive.
        push_ca_file: the authority that signed the push receiver's certificate.
    """

    def __init__(self, push: Child, posthog: Child, said_by_push: dict[str, str], posthog_url: str) -> None:
        self.push_url = said_by_push["url"]
        self.push_ca_file = Path(said_by_push["ca_file"])
        self.posthog_url = posthog_url
        self._control_url = said_by_push["control_url"]
        self._children = push, posthog

    def subscribe(self, count: int, vapid_public_key: str) -> list[NewSubscription]:
        """So many new subscriptions, bound to the key."""
        url = f"{self._control_url}/subscribe?count={count}&application_server_key={vapid_public_key}"
        made = get_json(url, timeout_s=20)["subscriptions"]
        return [NewSubscription(one["endpoint"], one["p256dh"], one["auth"]) for one in made]

    def tell_push(self, **behaviour: Any) -> None:
        """How to answer pushes (see `devstack.receiving`). Raises HttpFailed."""
        _post(f"{self._control_url}/control", behaviour)

    def tell_posthog(self, **behaviour: Any) -> None:
        """How to answer batches. Raises HttpFailed."""
        _post(f"{self.posthog_url}/control", behaviour)

    def push_stats(self) -> dict[str, Any]:
        """Counts. Raises HttpFailed."""
        return dict(get_json(f"{self._control_url}/stats", timeout_s=10))

    def posthog_stats(self) -> dict[str, Any]:
        """Counts. Raises HttpFailed."""
        return dict(get_json(f"{self.posthog_url}/stats", timeout_s=10))

    def accepted(self) -> list[Accepted]:
        """Every push that was accepted and decrypted. Raises HttpFailed."""
        found: list[Accepted] = []
        while True:
            page = get_json(f"{self._control_url}/accepted?from={len(found)}", timeout_s=30)
            found += [_accepted(message) for message in page["messages"]]
            if len(found) >= page["total"] or not page["messages"]:
                return found

    def posthog_uuids(self) -> dict[UUID, int]:
        """Every uuid that PostHog kept, and how often. Raises HttpFailed."""
        said: dict[str, int] = get_json(f"{self.posthog_url}/uuids", timeout_s=30)
        return {UUID(text): count for text, count in said.items()}

    def stop(self) -> None:
        """End both at once; they keep nothing that an orderly end would save."""
        for child in self._children:
            child.kill()


def start_receivers(run_dir: Path) -> Receivers:
    """Start both at the same time. Raises StartFailed."""
    push = _spawn("push receiver", "devstack.push_receiver", run_dir, "--dir", str(run_dir / "push-tls"))
    posthog = _spawn("PostHog receiver", "devstack.posthog_receiver", run_dir)
    try:
        with ThreadPoolExecutor(2) as pool:
            from_push, from_posthog = pool.map(lambda child: json.loads(child.first_line(_START_S)), (push, posthog))
    except BaseException:
        push.kill()
        posthog.kill()
        raise
    return Receivers(push, posthog, from_push, from_posthog["url"])


def _spawn(name: str, module: str, run_dir: Path, *arguments: str) -> Child:
    log = run_dir / f"{module.rpartition('.')[2]}.log"
    return spawn(Command(name, python_module(module, *arguments), log, keeps_pipes=True))


def _accepted(message: dict[str, Any]) -> Accepted:
    said = json.loads(message["payload"])
    return Accepted(str(message["endpoint"]), UUID(said["eventId"]), int(said["templateId"]))


def _post(url: str, body: dict[str, Any]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    payload, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(url, payload, headers)  # noqa: S310 -- http on loopback
    try:
        with opener.open(request, timeout=10) as answer:
            answer.read()
    except OSError as error:
        raise HttpFailed(f"{url}: {error}") from error
