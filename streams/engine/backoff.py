"""How long to wait before a batch is tried again. Pure: the randomness is an argument."""


def retry_delay_s(attempt: int, *, base_s: float, cap_s: float, jitter: float) -> float:
    """Exponential back-off with equal jitter: between half and all of `base_s * 2**(attempt - 1)`, at most `cap_s`.

    Args:
        attempt: attempts made so far, from 1.
        base_s: ceiling of the first wait, seconds.
        cap_s: ceiling of every wait, seconds.
        jitter: a number in [0, 1).
    """
    # 2**1000 is no float; 64 doublings exceed every cap.
    ceiling_s = min(cap_s, base_s * 2.0 ** min(attempt - 1, 64))
    return ceiling_s * (0.5 + jitter / 2)
