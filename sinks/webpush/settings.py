"""Settings of the push sender, as values; ops.settings reads them from the environment."""

from dataclasses import dataclass, field

from sinks.breaker import BreakerSettings
from sinks.webpush.auth_switch import AuthSwitchSettings
from sinks.webpush.encryption import DEFAULT_PAYLOAD_LIMIT, HARD_PAYLOAD_LIMIT


@dataclass(frozen=True, slots=True)
class WebPushSettings:
    """How to send. `extra_hosts`: push services beside the known ones, exact or `*.suffix`, lower case.

    `allow_private` is for test receivers: any port, any address. Raises ValueError for values out of range.
    """

    timeout_s: float = 10.0
    payload_limit_bytes: int = DEFAULT_PAYLOAD_LIMIT
    answer_limit_bytes: int = 8192
    extra_hosts: tuple[str, ...] = ()
    allow_private: bool = False
    undecided_delay_s: float = 30.0
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    auth_switch: AuthSwitchSettings = field(default_factory=AuthSwitchSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.payload_limit_bytes <= HARD_PAYLOAD_LIMIT:
            raise ValueError(f"payload_limit_bytes must be 1 to {HARD_PAYLOAD_LIMIT}: one RFC 8291 record")
        if self.timeout_s <= 0:
            raise ValueError("timeout_s must be greater than 0: without a limit one service stalls the sink")
