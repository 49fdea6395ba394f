"""Log messages that the runbooks search for, word for word (001 L20-29).

Dashboards and people grep for these sentences; a changed letter hides an outage, so they are constants and tested
against the runbook's text.
"""

from typing import Final

OUTBOX_SERIALISATION_FAILED: Final = "사용자 이벤트 outbox payload 직렬화에 실패했습니다"
"""A producer's properties could not be written as JSON (001 L20)."""

PUBLISH_SKIPPED_PROVIDER_NONE: Final = "메시지큐 provider가 none이라 User Activity 발행을 건너뜁니다"
"""The relay is switched off by MQ_PROVIDER=none (001 L21)."""

CONSUME_FAILED: Final = "메시지큐 수신 처리 실패"
"""A record could not be consumed (001 L23)."""

DUPLICATE_SKIPPED: Final = "중복 사용자 이벤트를 감지하여 저장을 건너뜁니다"
"""An event_id is stored already (001 L25)."""

HOOK_FAILED: Final = "사용자 이벤트 저장 후 hook 실행에 실패했습니다"
"""Events were stored, enqueuing their deliveries failed; the repair enqueues them (001 L26)."""

DISPATCH_FAILED: Final = "사용자 이벤트 dispatch에 실패했습니다"
"""A sink did not take an event (001 L28)."""

DISPATCH_PAYLOAD_UNREADABLE: Final = "사용자 이벤트 dispatch payload 역직렬화에 실패했습니다"
"""A stored event cannot be mapped to what the sink takes (001 L29)."""
