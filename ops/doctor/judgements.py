"""What a reading means: rows and figures in, findings out. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ops.doctor.finding import Finding, Level, degraded, ok, warning
from ops.lag import PartitionLag, lsn_distance
from ops.settings_model import Settings

_MIB = 1024 * 1024
_RETAINED_WARNING_BYTES = 1024 * _MIB
_TOO_LONG_NAMES = 5
_AFTER_FAILURE = {
    "user_activity_source_outbox": (
        "see ./bongsu dead-letters list and last_error, remove the cause, then UPDATE user_activity_source_outbox "
        "SET status='PENDING', next_retry_at=NULL WHERE id = ...: the relay's sweeper emits them again"
    ),
    "user_activity_dispatch_outbox": (
        "see last_error, remove the cause, then UPDATE user_activity_dispatch_outbox SET status='PENDING', "
        "retry_count=0, next_retry_at=NULL WHERE id = ...: the worker of their target sends them again"
    ),
    "notify_jobs": "see last_error and remove the cause; a job that gave up is not sent again",
}


def size_text(size_bytes: int) -> str:
    """Bytes as a person reads them."""
    for unit, one in (("GiB", 1024 * _MIB), ("MiB", _MIB), ("KiB", 1024)):
        if size_bytes >= one:
            return f"{size_bytes / one:.1f} {unit}"
    return f"{size_bytes} B"


def python_version(version: tuple[int, int, int]) -> Finding:
    """Python 3.11 or newer."""
    text = ".".join(map(str, version))
    if version >= (3, 11, 0):
        return ok("python", f"Python {text}")
    return degraded("python", f"Python {text} is too old", "install Python 3.11 or newer and run ./bongsu again")


def wal_level(value: str) -> Finding:
    """Logical decoding must be on."""
    if value == "logical":
        return ok("wal_level", "wal_level is logical")
    return degraded(
        "wal_level",
        f"wal_level is {value}, so nothing can be captured",
        "ALTER SYSTEM SET wal_level = 'logical' and restart PostgreSQL",
    )


def migrations(states: Sequence[tuple[str, bool]]) -> Finding:
    """All of this release's migrations are applied; `states` are (name, applied)."""
    missing = [name for name, applied in states if not applied]
    if not missing:
        return ok("migrations", f"all {len(states)} migrations are applied")
    return degraded(
        "migrations", f"{len(missing)} of {len(states)} are missing: {', '.join(missing)}", "./bongsu migrate"
    )


def publication(row: Mapping[str, Any] | None, name: str, tables: Sequence[str]) -> Finding:
    """The relay's publication: inserts only, and every captured table in it."""
    if row is None:
        return warning("publication", f"publication {name} does not exist", "start ./bongsu relay once: it creates it")
    if not row["inserts_only"]:
        return degraded(
            "publication",
            f"publication {name} also carries updates, deletes or truncates",
            f"ALTER PUBLICATION {name} SET (publish = 'insert')",
        )
    missing = [table for table in tables if table not in row["tables"]]
    if missing:
        return degraded(
            "publication",
            f"publication {name} lacks {', '.join(missing)}",
            f"ALTER PUBLICATION {name} ADD TABLE {', '.join(missing)}, or restart ./bongsu relay",
        )
    return ok("publication", f"publication {name} carries the inserts of {len(tables)} tables")


def slots(rows: Sequence[Mapping[str, Any]], name: str, keep_mb: int | None) -> list[Finding]:
    """The relay's slot, the limit on what slots retain, and slots that nobody reads."""
    own = next((row for row in rows if row["slot_name"] == name), None)
    found = [_own_slot(own, name)]
    if keep_mb is not None and keep_mb < 0:
        found.append(
            warning(
                "slot_limit",
                "max_slot_wal_keep_size is unlimited: an unread slot fills the disk and stops the database",
                "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB' (what the disk can spare); SELECT pg_reload_conf()",
            )
        )
    elif keep_mb is not None:
        found.append(ok("slot_limit", f"slots may retain {size_text(keep_mb * _MIB)} of log"))
    for row in rows:
        if row is not own and not row["active"]:
            retained = lsn_distance(row["current_lsn"], row["restart_lsn"]) or 0
            found.append(
                warning(
                    "unread_slot",
                    f"nobody reads slot {row['slot_name']} of database {row['database']}; "
                    f"it retains {size_text(retained)}",
                    f"if it is abandoned: SELECT pg_drop_replication_slot('{row['slot_name']}')",
                )
            )
    return found


def _own_slot(row: Mapping[str, Any] | None, name: str) -> Finding:
    if row is None:
        return warning("slot", f"slot {name} does not exist", "start ./bongsu relay: it creates it")
    if row["wal_status"] == "lost":
        return degraded(
            "slot",
            f"slot {name} was invalidated: the server removed log that it needed",
            "restart ./bongsu relay: it makes the slot anew and the sweeper replays what is missing",
        )
    retained = lsn_distance(row["current_lsn"], row["restart_lsn"]) or 0
    if not row["active"]:
        return degraded("slot", f"nobody reads slot {name}; it retains {size_text(retained)}", "start ./bongsu relay")
    if row["wal_status"] == "unreserved" or retained > _RETAINED_WARNING_BYTES:
        return warning(
            "slot",
            f"slot {name} retains {size_text(retained)} of log (wal_status {row['wal_status']})",
            "see ./bongsu lag and the relay's log: it is slower than the writers, or Kafka does not acknowledge",
        )
    return ok("slot", f"slot {name} is read by process {row['active_pid']} and retains {size_text(retained)}")


def backlog(rows: Sequence[Mapping[str, Any]], overdue_s: float) -> list[Finding]:
    """Rows that gave up, and rows that wait for longer than the sweeper should allow; a due retry is no problem."""
    found = []
    for row in rows:
        what = f"{row['rows']} rows of {row['table']}"
        given_up = row["rows"] - row["retrying"]
        if row["status"] == "FAILED" and given_up > 0:
            cause = f"{given_up} rows of {row['table']} are FAILED and are not tried again"
            found.append(warning("backlog", cause, _AFTER_FAILURE[row["table"]]))
        elif row["status"] in ("PENDING", "READY", "LOCKED") and (row["oldest_s"] or 0) > overdue_s:
            found.append(
                degraded(
                    "backlog",
                    f"{what} are {row['status']}, the oldest for {row['oldest_s']:.0f} s",
                    "see ./bongsu lag: is the relay running, and the worker of this queue?",
                )
            )
    return found or [ok("backlog", "nothing is overdue and nothing FAILED")]


def topics(created: Sequence[str], configured: Sequence[str], conflicts: Sequence[str]) -> list[Finding]:
    """The registry against the cluster; `conflicts` are sentences."""
    found = [degraded("topics", conflict, "see ./bongsu topics plan") for conflict in conflicts]
    if created:
        names = ", ".join(created[:_TOO_LONG_NAMES]) + (" ..." if len(created) > _TOO_LONG_NAMES else "")
        found.append(degraded("topics", f"{len(created)} topics are missing: {names}", "./bongsu topics apply"))
    if configured:
        found.append(
            warning(
                "topics",
                f"{len(configured)} topics have other settings: {', '.join(configured)}",
                "./bongsu topics apply",
            )
        )
    return found or [ok("topics", "every topic of the registry is there as written")]


def groups(lags: Iterable[PartitionLag], members: Mapping[str, int | None]) -> list[Finding]:
    """Groups that have something to read and nobody who reads; records that retention took away."""
    by_group: dict[str, int] = {}
    lost: dict[str, int] = {}
    for lag in lags:
        by_group[lag.group] = by_group.get(lag.group, 0) + lag.lag
        lost[lag.group] = lost.get(lag.group, 0) + lag.lost
    found = []
    for group, behind in by_group.items():
        role = group.rpartition("-")[2]
        if lost[group]:
            found.append(
                degraded(
                    "groups",
                    f"retention removed {lost[group]} records that group {group} had not read",
                    "start the role, and let the sweeper replay what is missing from the database",
                )
            )
        if members.get(group) == 0 and behind:
            found.append(
                degraded(
                    "groups", f"group {group} is {behind} records behind and has no member", f"./bongsu worker {role}"
                )
            )
    return found or [ok("groups", f"{len(by_group)} groups, none is behind without a member")]


def web_push(settings: Settings, faults: Sequence[str]) -> Finding:
    """Whether pushes can be sent; `faults` are the sentences of the VAPID check."""
    if faults:
        fix = "make a pair and set VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY and VAPID_SUBJECT"
        level = degraded if settings.web_push_enabled else warning
        return level("web_push", " ".join(faults), fix)
    if not settings.web_push_enabled:
        return Finding("web_push", Level.INFO, "WEB_PUSH_ENABLED is 0: jobs queue up and nothing is sent")
    if settings.web_push_allow_private and settings.env == "production":
        return warning(
            "web_push",
            "WEB_PUSH_ALLOW_PRIVATE is 1 in production: a stored endpoint may point into your network",
            "set WEB_PUSH_ALLOW_PRIVATE=0",
        )
    return ok("web_push", "sending is on and the VAPID pair is valid")


def posthog(settings: Settings) -> Finding:
    """Whether events can be sent to PostHog."""
    if not settings.posthog_enabled:
        return Finding("posthog", Level.INFO, "POSTHOG_ENABLED is 0: dispatch rows stay PENDING")
    if settings.posthog_api_key is None:
        return degraded("posthog", "POSTHOG_API_KEY is not set", "set it, or POSTHOG_API_KEY_FILE")
    host = urlsplit(settings.posthog_host)
    if host.scheme != "https" and not is_loopback(host.hostname or ""):
        return warning("posthog", f"POSTHOG_HOST is {settings.posthog_host}, without TLS", "use an https:// address")
    return ok("posthog", f"events go to {settings.posthog_host} in batches of {settings.posthog_batch_size}")


def is_loopback(host: str) -> bool:
    """True for this machine: a name, an address or a socket directory."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def transport(settings: Settings, database_hosts: Sequence[str], sslmode: str | None) -> list[Finding]:
    """Plaintext that leaves the machine, and doors that open to the network."""
    found = []
    brokers = (settings.kafka_bootstrap_servers or "").split(",")
    far = [broker for broker in brokers if not is_loopback(broker.rpartition(":")[0])]
    if far and settings.kafka_security_protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
        found.append(
            warning(
                "transport",
                f"KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}; {', '.join(far)} is another machine",
                "set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL",
            )
        )
    far = [host for host in database_hosts if not is_loopback(host)]
    if far and sslmode not in ("verify-full", "verify-ca"):
        found.append(
            warning(
                "transport",
                f"sslmode is {sslmode or 'prefer'} and {', '.join(far)} is another machine",
                "put sslmode=verify-full (and sslrootcert) into DATABASE_URL",
            )
        )
    if settings.metrics_port and not is_loopback(settings.metrics_host):
        found.append(
            warning(
                "transport",
                f"METRICS_HOST is {settings.metrics_host}: /metrics listens beyond this machine, without TLS",
                "keep it on 127.0.0.1, or in front of it a proxy with TLS and an address list (003 L176)",
            )
        )
    return found or [ok("transport", "nothing leaves this machine in plaintext")]
