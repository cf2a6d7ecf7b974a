"""Waiting for a condition instead of sleeping."""

import time

TIMEOUT = 30.0


def wait_until(condition, timeout=TIMEOUT, what="", every=0.02, describe=None):
    """
    Calls `condition` until its result is true, and returns that. Fails with what it said last, or
    with what `describe` says.
    """
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", "condition")
            last = describe() if describe else result
            raise AssertionError(f"not within {timeout} s: {name} (last: {last!r})")
        time.sleep(every)


def stays(condition, seconds, what=""):
    """Fails when `condition` becomes false within `seconds`: for things that must not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"did not stay so: {what or condition}"
        time.sleep(0.02)
