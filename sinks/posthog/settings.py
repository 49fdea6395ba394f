"""Settings of the PostHog sink, as values; ops.settings reads them from the environment."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class PostHogSettings:
    """Where and how to send. `host` is an http(s) origin with an optional path; raises ValueError otherwise.

    `bad_request_splits`: how many extra requests a batch answered with 400 may cost to find the event at fault.
    """

    host: str
    api_key: str = field(repr=False)
    timeout_s: float = 15.0
    event_limit_bytes: int = 1_000_000
    request_limit_bytes: int = 10 * 1024 * 1024
    answer_limit_bytes: int = 16_384
    bad_request_splits: int = 24

    def __post_init__(self) -> None:
        parts = urlsplit(self.host)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("posthog_host must be an http or https URL such as https://eu.i.posthog.com")
        if not self.api_key.strip():
            raise ValueError("posthog_api_key must be the project's API key")
        if self.timeout_s <= 0:
            raise ValueError("posthog_timeout_s must be greater than 0")

    @property
    def batch_url(self) -> str:
        """The address that batches are posted to."""
        return f"{self.host.rstrip('/')}/batch/"
