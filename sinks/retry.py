"""How long to wait before the next try. Pure: the clock and the dice are arguments."""

from email.utils import parsedate_to_datetime

_LARGEST_EXPONENT = 60


def next_delay_s(attempt: int, base_s: float, cap_s: float, jitter: float) -> float:
    """Seconds to wait after the `attempt`-th failure (1 = first): doubling from `base_s`, at most `cap_s`.

    `jitter` in [0, 1) spreads the result over the upper half, so that many callers do not return together and
    none returns at once. Raises ValueError for arguments that make no sense.
    """
    if attempt < 1 or base_s < 0 or cap_s < 0 or not 0 <= jitter < 1:
        raise ValueError(f"next_delay_s({attempt=}, {base_s=}, {cap_s=}, {jitter=})")
    whole_s = min(cap_s, base_s * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT))
    return whole_s * (0.5 + jitter / 2)


def parse_retry_after(value: str | None, now_s: float) -> float | None:
    """Seconds asked for by a Retry-After header (RFC 9110 §10.2.3: seconds or an HTTP date), else None.

    `now_s` is Unix time. A date in the past means 0; anything unreadable or negative means None.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return None
