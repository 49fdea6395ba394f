"""The stream roles' parts: stores, sinks, breakers; one builder for each role."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import aiohttp

from ops.errors import ConfigError
from ops.settings_model import Settings
from ops.wiring_windows import build_windows
from ops.workbench import Parts, Workbench
from schemas.event_names import allow_list
from sinks.circuit import Circuit
from sinks.outcomes import Outcome, RetryAfter
from sinks.ports import AnalyticsEvent, BatchOutcome, EventSink, PushMessage, PushSender, PushTarget
from sinks.postgres.dispatch_store import PostgresDispatchStore
from sinks.postgres.event_store import PostgresEventStore
from sinks.postgres.job_store import PostgresJobStore
from sinks.postgres.mark_store import PostgresMarkStore
from sinks.posthog.settings import PostHogSettings
from sinks.posthog.sink import PostHogSink
from sinks.retry import next_delay_s
from sinks.webpush.sender import WebPushSender
from sinks.webpush.session import open_push_session
from sinks.webpush.settings import WebPushSettings
from sinks.webpush.vapid import VapidHeaders, VapidPair, check_vapid
from streams.roles.activity import ActivityRole
from streams.roles.avro_schemas import RegistrySchemas
from streams.roles.marks import MarksRole
from streams.roles.posthog import PostHogPolicy, PostHogRole
from streams.roles.push import ClaimPolicy, PushRole
from streams.roles.push_decisions import PushPolicy
from topics.publisher import Publisher
from topics.registry import ACTIVITY_EVENTS, topics_read_by

Builder = Callable[[Workbench, AsyncExitStack, Publisher], Awaitable[Parts]]

_RETRY_CAP_S = 3_600.0
_POSTHOG_LEASE_S = 120.0


async def build_activity(bench: Workbench, stack: AsyncExitStack, _publisher: Publisher) -> Parts:
    """Stores events from the outbox's changes and from activity.events."""
    settings = bench.settings
    store = PostgresEventStore(
        bench.connect("activity"),
        dispatch_to_posthog=settings.posthog_enabled,
        target_column=settings.dispatch_target_column,
    )
    stack.push_async_callback(store.close)
    role = ActivityRole(
        store,
        bench.codec,
        RegistrySchemas(bench.registry, bench.codec, now_s=time.monotonic),
        allowed=allow_list(settings.event_allowlist),
        avro_topic=ACTIVITY_EVENTS,
    )
    return Parts({topic.name: role.handle for topic in topics_read_by("activity")}, (role.background,))


async def build_marks(bench: Workbench, stack: AsyncExitStack, _publisher: Publisher) -> Parts:
    """Marks outbox rows that reached Kafka."""
    store = PostgresMarkStore(bench.connect("marks"))
    stack.push_async_callback(store.close)
    role = MarksRole(store, now_s=time.time)
    return Parts({topic.name: role.handle for topic in topics_read_by("marks")})


async def build_posthog(bench: Workbench, stack: AsyncExitStack, _publisher: Publisher) -> Parts:
    """Sends stored events to PostHog."""
    settings = bench.settings
    store = PostgresDispatchStore(bench.connect("posthog"), target_column=settings.dispatch_target_column)
    stack.push_async_callback(store.close)
    role = PostHogRole(
        store,
        await _posthog_sink(settings, stack),
        Circuit("POSTHOG"),
        policy=PostHogPolicy(
            batch_size=settings.posthog_batch_size,
            # A batch may be split into several requests, each with the whole time allowed.
            lease_s=_POSTHOG_LEASE_S + 4 * settings.posthog_timeout_s,
            max_retry=settings.posthog_max_retry,
        ),
        delay_s=_delay(settings.posthog_retry_delay_ms),
        new_token=uuid4,
        enabled=settings.posthog_enabled,
    )
    return Parts({topic.name: role.handle for topic in topics_read_by("posthog")}, (role.background,))


async def _posthog_sink(settings: Settings, stack: AsyncExitStack) -> EventSink:
    if not settings.posthog_enabled or settings.posthog_api_key is None:
        return SwitchedOff()
    session = await stack.enter_async_context(aiohttp.ClientSession())
    try:
        posthog = PostHogSettings(
            host=settings.posthog_host,
            api_key=settings.posthog_api_key.get_secret_value(),
            timeout_s=settings.posthog_timeout_s,
        )
    except ValueError as error:
        raise ConfigError(f"POSTHOG_HOST and POSTHOG_API_KEY: {error}") from error
    return PostHogSink(session, posthog)


async def build_push(bench: Workbench, stack: AsyncExitStack, _publisher: Publisher) -> Parts:
    """Sends notify jobs as web push."""
    settings = bench.settings
    store = PostgresJobStore(bench.connect("push"))
    stack.push_async_callback(store.close)
    role = PushRole(
        store,
        await _push_sender(settings, stack),
        policy=PushPolicy(ttl_s=settings.web_push_ttl_s, max_retry=settings.web_push_max_retry),
        claims=ClaimPolicy.for_timeout(settings.web_push_timeout_s, settings.web_push_concurrency),
        delay_s=_delay(settings.web_push_retry_delay_ms),
        new_token=uuid4,
        clock_s=time.monotonic,
        enabled=settings.web_push_enabled,
    )
    return Parts({topic.name: role.handle for topic in topics_read_by("push")}, (role.background,))


async def _push_sender(settings: Settings, stack: AsyncExitStack) -> PushSender:
    if not settings.web_push_enabled:
        return SwitchedOff()
    vapid = vapid_headers(settings)
    session = open_push_session(
        connections=settings.web_push_concurrency,
        ca_file=str(settings.web_push_ca_file) if settings.web_push_ca_file else None,
        allow_private=settings.web_push_allow_private,
    )
    return WebPushSender(await stack.enter_async_context(session), vapid, web_push_settings(settings))


def vapid_headers(settings: Settings) -> VapidHeaders:
    """Signers for the present VAPID key and, while it is being replaced, the one before.

    Raises:
        ConfigError: keys or subject that no push service would accept, one sentence for each fault.
    """
    public, private, subject = settings.vapid_public_key, settings.vapid_private_key, settings.vapid_subject
    if public is None or private is None or subject is None:
        raise ConfigError("WEB_PUSH_ENABLED is 1 and needs VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY and VAPID_SUBJECT.")
    faults = check_vapid(public, private.get_secret_value(), subject)
    if faults:
        raise ConfigError(*faults)
    previous = []
    if settings.vapid_previous_public_key is not None and settings.vapid_previous_private_key is not None:
        previous.append(
            VapidPair(settings.vapid_previous_public_key, settings.vapid_previous_private_key.get_secret_value())
        )
    try:
        return VapidHeaders(VapidPair(public, private.get_secret_value()), subject, previous)
    except ValueError as error:
        raise ConfigError(f"VAPID_PREVIOUS_PUBLIC_KEY or VAPID_PREVIOUS_PRIVATE_KEY {error}.") from error


def web_push_settings(settings: Settings) -> WebPushSettings:
    """The push sink's part of the settings."""
    return WebPushSettings(
        timeout_s=settings.web_push_timeout_s,
        extra_hosts=settings.web_push_extra_hosts,
        allow_private=settings.web_push_allow_private,
    )


class SwitchedOff:
    """The sink of a role whose switch is off. Its role claims nothing; whoever asks all the same is told to wait."""

    async def send(self, _subscription: PushTarget, _message: PushMessage) -> Outcome:
        """Nothing is sent."""
        return RetryAfter(None, error_code="switched_off")

    async def send_batch(self, events: Sequence[AnalyticsEvent]) -> BatchOutcome:
        """Nothing is sent."""
        waiting: list[Outcome] = [RetryAfter(None, error_code="switched_off")] * len(events)
        return BatchOutcome(waiting, None, "switched_off", None, 0, 0)


BUILDERS: Mapping[str, Builder] = {
    "activity": build_activity,
    "marks": build_marks,
    "posthog": build_posthog,
    "push": build_push,
    "windows": build_windows,
}
"""A builder for each name of `ops.roles.ROLES`."""


def _delay(base_ms: int) -> Callable[[int], float]:
    return lambda attempt: next_delay_s(attempt, base_ms / 1000, _RETRY_CAP_S, random.random())  # noqa: S311 -- jitter
