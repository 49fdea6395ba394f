"""Rules between settings: values that are each right and together wrong. Pure."""

from ops.settings_model import Settings


def _pair(first: str, first_set: bool, second: str, second_set: bool) -> list[str]:
    """Two settings that only make sense together."""
    if first_set == second_set:
        return []
    present, absent = (first, second) if first_set else (second, first)
    return [f"{present} is set but {absent} is not, expected both or neither."]


def problems(settings: Settings) -> list[str]:
    """What holds for every process, one sentence per broken rule."""
    found: list[str] = []
    if settings.kafka_security_protocol.startswith("SASL_"):
        found += [
            f"{name.upper()} is not set, expected a value since KAFKA_SECURITY_PROTOCOL is "
            f"{settings.kafka_security_protocol}."
            for name in ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
            if getattr(settings, name) is None
        ]
    found += _pair(
        "KAFKA_SSL_CERTIFICATE_LOCATION", settings.kafka_ssl_certificate_location is not None,
        "KAFKA_SSL_KEY_LOCATION", settings.kafka_ssl_key_location is not None,
    )  # fmt: skip
    found += _pair(
        "SCHEMA_REGISTRY_USERNAME", settings.schema_registry_username is not None,
        "SCHEMA_REGISTRY_PASSWORD", settings.schema_registry_password is not None,
    )  # fmt: skip
    found += _pair(
        "VAPID_PREVIOUS_PUBLIC_KEY", settings.vapid_previous_public_key is not None,
        "VAPID_PREVIOUS_PRIVATE_KEY", settings.vapid_previous_private_key is not None,
    )  # fmt: skip
    if settings.metrics_port and settings.metrics_token is None:
        found.append("METRICS_TOKEN is not set, expected at least 16 characters since METRICS_PORT is not 0.")
    return found


def role_problems(settings: Settings, role: str) -> list[str]:
    """What one role needs before it may start; the other roles need not be given its secrets."""
    needed: tuple[str, ...] = ()
    reason = ""
    if role == "push" and settings.web_push_enabled:
        needed, reason = ("vapid_public_key", "vapid_private_key", "vapid_subject"), "WEB_PUSH_ENABLED is 1"
    elif role == "posthog" and settings.posthog_enabled:
        needed, reason = ("posthog_api_key",), "POSTHOG_ENABLED is 1"
    return [
        f"{name.upper()} is not set, expected a value since {reason}."
        for name in needed
        if getattr(settings, name) is None
    ]
