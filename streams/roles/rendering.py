"""From a template and an event's properties to the bytes of a notification. Pure.

Templates are data that operators edit: a placeholder is looked up, never evaluated (`str.format` would reach
attributes), and what is missing becomes nothing rather than a failure: a notification without a name beats none.
"""

import base64
import hashlib
import re
from typing import Any, Final
from urllib.parse import quote

import orjson

from sinks.ports import PushMessage
from sinks.store_values import PushJob, PushTemplate

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}")

TITLE_CHARACTERS: Final = 200
BODY_CHARACTERS: Final = 800
"""Browsers show far less; the cap keeps the payload below every service's limit (push-and-analytics.md A3)."""


def variables_of(text: str) -> dict[str, Any]:
    """The job's variables; anything but a JSON object counts as none."""
    try:
        variables = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return variables if isinstance(variables, dict) else {}


def fill(template: str, variables: dict[str, Any], *, in_url: bool = False) -> str:
    """Put variables into `{name}` and `{outer.inner}`; in a URL they are percent-encoded.

    >>> fill("{who} wrote {n} lines{missing}", {"who": "Mina", "n": 3})
    'Mina wrote 3 lines'
    """

    def replace(match: re.Match[str]) -> str:
        word = _word(_look_up(variables, match.group(1)))
        return quote(word, safe="") if in_url else word

    return _PLACEHOLDER.sub(replace, template)


def push_message(job: PushJob, template: PushTemplate, *, ttl_s: int) -> PushMessage:
    """The message of a job, the same bytes on every attempt.

    Args:
        job: the claimed job.
        template: its template.
        ttl_s: longest time a service keeps it; the template may ask for less.
    """
    variables = variables_of(job.variables)
    payload = {
        "title": fill(template.title, variables)[:TITLE_CHARACTERS],
        "body": fill(template.body, variables)[:BODY_CHARACTERS],
        "url": fill(template.url, variables, in_url=True),
        "tag": topic_of(job.dedup_key),
        "templateId": template.template_id,
        "eventId": None if job.event_id is None else str(job.event_id),
    }
    return PushMessage(
        payload=orjson.dumps(payload),
        ttl_s=max(0, min(template.ttl_s, ttl_s)),
        urgency=template.urgency,
        topic=topic_of(job.dedup_key),
    )


def topic_of(dedup_key: str) -> str:
    """The Topic header of a job, 32 characters of base64url (RFC 8030 §5.4): a retry replaces an undelivered copy."""
    return base64.urlsafe_b64encode(hashlib.sha256(dedup_key.encode()).digest())[:32].decode()


def _look_up(variables: dict[str, Any], path: str) -> Any:
    found: Any = variables
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _word(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
