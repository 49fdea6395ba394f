"""The closed list of stream roles, each of which is a process and a consumer group of its own."""

ROLES: tuple[str, ...] = ("activity", "push", "posthog", "windows", "marks")


def group_id(prefix: str, role: str) -> str:
    """Consumer group of a role, e.g. `bongsu-activity`."""
    return f"{prefix}-{role}"
