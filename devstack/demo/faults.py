"""Breaking and healing the parts of a running demo.

- push: the push receiver answers 400 to everyone. Each message fails for good at once, so the share of delivered ones
  falls within seconds: push_delivered_ratio fires.
- posthog: PostHog answers 503. Batches fail and the circuit opens: ua_dispatch_failure_rate fires.
- broker: frozen (SIGSTOP). Lag is unknown, everything behind the outbox waits, nothing is lost.
- postgres: frozen (SIGSTOP). Nobody can write or store; work goes on where it stopped.

400 and not 500: a service that answers 500 opens the circuit, the messages then wait instead of failing, and a ratio of
final outcomes, which is what the runbook alarms on (000 L21), has little to say; that outage is told by
ua_dispatch_failure_rate of WEB_PUSH.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Final

from devstack.demo.control import ControlError
from devstack.demo.receivers import Receivers
from devstack.http_json import HttpFailed
from devstack.stack import Stack

TARGETS: Final = ("push", "posthog", "broker", "postgres")
FROZEN: Final = ("broker", "postgres")


class Faults:
    """What is broken at the moment, and how to change it.

    Args:
        stack: broker and PostgreSQL.
        receivers: where pushes and batches go.
        expired: endpoints that answer 410 also when nothing is broken.
    """

    def __init__(self, stack: Stack, receivers: Receivers, expired: Sequence[str]) -> None:
        self._receivers = receivers
        self._expired = list(expired)
        self._lock = threading.Lock()
        self._present: dict[str, str] = {}
        self._ever: set[str] = set()
        self._break: dict[str, tuple[Callable[[], None], str]] = {
            "push": (lambda: receivers.tell_push(mode="400"), "the receiver answers 400"),
            "posthog": (lambda: receivers.tell_posthog(mode="503"), "PostHog answers 503"),
            "broker": (lambda: stack.pause("broker"), "the broker is frozen"),
            "postgres": (lambda: stack.pause("postgres"), "PostgreSQL is frozen"),
        }
        self._heal: dict[str, Callable[[], None]] = {
            "push": self.heal_push,
            "posthog": lambda: receivers.tell_posthog(mode="ok"),
            "broker": lambda: stack.resume("broker"),
            "postgres": lambda: stack.resume("postgres"),
        }

    def present(self) -> dict[str, str]:
        """Target to description of what is broken now."""
        with self._lock:
            return dict(self._present)

    def ever(self) -> frozenset[str]:
        """Every target that was broken since the start."""
        with self._lock:
            return frozenset(self._ever)

    def heal_push(self) -> None:
        """Answer as a push service does: accepted, but 410 for expired subscriptions."""
        self._receivers.tell_push(mode="ok")
        if self._expired:
            self._receivers.tell_push(mode="410", subscriptions=self._expired)

    def carry_out(self, action: str, target: str) -> str:
        """Do what was asked for and say what it was. Raises ControlError for what cannot be done."""
        if target not in TARGETS:
            raise ControlError(f"there is no {target!r} to {action}; choose one of {', '.join(TARGETS)}")
        with self._lock:
            if action == "break":
                return self._broken(target)
            if action == "heal":
                return self._healed(target)
        raise ControlError(f"a demo can break and heal, not {action!r}")

    def _broken(self, target: str) -> str:
        if target in self._present:
            raise ControlError(f"{target} is broken already: {self._present[target]}")
        act, description = self._break[target]
        act()
        self._present[target] = description
        self._ever.add(target)
        return f"{target} is broken now: {description}"

    def _healed(self, target: str) -> str:
        if target not in self._present:
            raise ControlError(f"{target} is not broken")
        self._heal[target]()
        del self._present[target]
        return f"{target} is healed"

    def heal_all(self) -> None:
        """Thaw and heal everything before the end, frozen parts first; a receiver that is gone needs no healing."""
        for target in sorted(self.present(), key=FROZEN.__contains__, reverse=True):
            with contextlib.suppress(HttpFailed, ControlError):
                self.carry_out("heal", target)
