"""What is wrong with bytes that are no JSON: msgspec does not always say what is so. Pure."""

from __future__ import annotations

import json

TRUNCATED = "truncated"  # as msgspec says of what ends too soon
READ_AGAIN_MAX = 262_144  # characters; takes a few ms, and what is longer is no event


def why_not_json(value: bytes, exc: Exception) -> str:
    """Return what is wrong with bytes that msgspec does not read, which does not always say so.

    exc: what it raised.
    """
    if not value or value.isspace():
        return "there is nothing"
    if isinstance(exc, RecursionError):
        return "it is nested too deep"
    try:
        text = value.decode()
    except UnicodeDecodeError as wrong:
        return f"byte {wrong.start} is not UTF-8"
    # msgspec looks 6 bytes further for the other half, and misses them near the end.
    if TRUNCATED in str(exc) and "\\u" in text and _python_reads(text):
        return r"an escape from \ud800 to \udfff lacks its other half"
    return str(exc)


def _python_reads(text: str) -> bool:
    if len(text) > READ_AGAIN_MAX:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
