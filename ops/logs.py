"""Logs: one JSON object per line with the fields of runbook 004 L321-333, or a readable line on a terminal.

Call with a normalised name and fields: `log.info("relay.started", slot=...)`; text for people goes into `message`.
Records of libraries (Faust, aiokafka, asyncio) take the same way: their text becomes `message`, their logger's name
`event`. Every value passes the masks of `ops.masking` last, so a secret that reached an exception's text is caught
too. Everything goes to stderr; stdout is data.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import IO, Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ops.masking import mask_endpoint, mask_id, mask_value

STANDARD_FIELDS = (
    "env",
    "release",
    "platform",
    "actor_id",
    "session_id",
    "request_id",
    "trace_id",
    "event",
    "severity",
    "domain",
    "entity_id",
)
"""Runbook 004 L323-333; every record has all of them, null where there is nothing to say."""

_PERSON_KEYS = frozenset({"actor_id", "entity_id", "member_id", "anonymous_id", "distinct_id", "partition_key"})
_NORMALISED = re.compile(r"^[a-z0-9_-]+(\.[a-z0-9_-]+)+$")
_SEVERITIES = {"warning": "warn", "critical": "error", "exception": "error", "fatal": "error", "notset": "info"}
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_DOMAINS = {
    "relay": "capture",
    "activity": "activity",
    "marks": "activity",
    "push": "push",
    "posthog": "analytics",
    "windows": "alerting",
}
# At info these tell their inner life (every fetch, every rebalance step); ours says the same once.
_CHATTY = (
    "aiokafka",
    "faust",
    "mode",
    "asyncio",
    "urllib3",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "aiohttp.access",
)


@dataclass(frozen=True, slots=True)
class LogContext:
    """What every record of a process carries.

    Attributes:
        env, release: runbook 004 L323-324.
        role: the process: `relay`, a worker role, `cli`, `demo`.
        platform: 004 L325 lists client platforms; Bongsu's own processes are `server`.
        secrets: values that must never be written.
    """

    env: str
    release: str
    role: str
    platform: str = "server"
    secrets: tuple[str, ...] = ()


def severity_of(level: str) -> str:
    """A Python level name as one of debug, info, warn, error (004 L309-315, L331)."""
    return _SEVERITIES.get(level.lower(), level.lower())


def standard_record(event: MutableMapping[str, Any], level: str, context: LogContext) -> dict[str, Any]:
    """Bring one record into the field standard and mask it. Pure; the order of keys is the order of output."""
    fields = dict(event)
    text = str(fields.pop("event", ""))
    logger_name = str(fields.pop("logger", "") or context.role)
    severity = severity_of(str(fields.pop("level", level)))
    named = _NORMALISED.match(text) is not None
    if not named and text:
        fields.setdefault("message", text)
    record: dict[str, Any] = {"time": fields.pop("timestamp", None), "severity": severity}
    record["event"] = text if named else logger_name
    if "message" in fields:
        record["message"] = fields.pop("message")
    given = {
        "env": context.env,
        "release": context.release,
        "platform": context.platform,
        "domain": _DOMAINS.get(context.role, context.role),
    }
    for name in STANDARD_FIELDS:
        if name not in record:
            record[name] = fields.pop(name, None) or given.get(name)
    record["role"] = context.role
    record |= fields
    return _masked(record, context.secrets)


def _masked(record: Mapping[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    masked: dict[str, Any] = mask_value(record, secrets)
    for key in _PERSON_KEYS & masked.keys():
        if masked[key] is not None:
            masked[key] = mask_id(masked[key])
    if masked.get("endpoint"):
        masked["endpoint"] = mask_endpoint(str(record["endpoint"]))
    return masked


def _standardise(context: LogContext) -> Processor:
    def process(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        bookkeeping = {key: event.pop(key) for key in ("_record", "_from_structlog") if key in event}
        return {**standard_record(event, method, context), **bookkeeping}

    return process


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    import orjson

    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[36m", "warn": "\x1b[33m", "error": "\x1b[31m"}
_HIDDEN = frozenset(
    {"time", "severity", "event", "message", "role", "exception", "domain", "env", "release", "platform"}
)


def console_line(record: Mapping[str, Any], *, colour: bool, with_role: bool = True) -> str:
    """A standard record as `12:03:04 warn  push  push.refused: text  key=value`; empty fields are left out."""
    severity = str(record["severity"])
    head = f"{severity:<5}"
    if colour:
        head = f"{_COLOURS.get(severity, '')}{head}\x1b[0m"
    role = f" {record.get('role', ''):<8}" if with_role else ""
    text = str(record["event"]) + (f": {record['message']}" if record.get("message") else "")
    shown = " ".join(f"{key}={value}" for key, value in record.items() if key not in _HIDDEN and value is not None)
    parts = [f"{str(record.get('time') or '')[11:19]} {head}{role}", text, shown]
    line = "  ".join(part for part in parts if part)
    return line + (f"\n{record['exception']}" if record.get("exception") else "")


def _to_console(colour: bool) -> Processor:
    def render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        return console_line(event, colour=colour)

    return render


def renders_console(log_format: str, stream: IO[str]) -> bool:
    """`auto` is the readable form on a terminal and JSON elsewhere."""
    return log_format == "console" or (log_format == "auto" and stream.isatty())


class _Stderr(logging.StreamHandler[IO[str]]):
    """Writes to what sys.stderr is at that moment: a verb that is called as a function may outlive a redirection."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> IO[str]:  # type: ignore[override]
        """The present sys.stderr."""
        return sys.stderr


def configure(
    context: LogContext,
    *,
    log_format: str = "auto",
    log_level: str = "info",
    colour: bool = True,
    stream: IO[str] | None = None,
) -> None:
    """Send structlog and the standard library's logging of this process through one formatter to `stream` (stderr).

    Call once, before anything logs. A framework that configures logging itself must be told not to
    (`mode.Worker(override_logging=False)`).
    """
    out = stream or sys.stderr
    console = renders_console(log_format, out)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = _to_console(colour and out.isatty()) if console else _to_json
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[_standardise(context), structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        logger=None,
    )
    handler: logging.Handler = logging.StreamHandler(stream) if stream else _Stderr()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[log_level])
    chatty_level = logging.DEBUG if log_level == "debug" else max(_LEVELS[log_level], logging.WARNING)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(chatty_level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
