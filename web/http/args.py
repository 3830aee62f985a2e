"""The arguments in a query string."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl

from app.errors import BadRequestError

SHOWN_MAX = 60  # characters of what is wrong, in its message


def args_of(query_string: str) -> dict[str, str]:
    """Return {name: value}; raise BadRequestError where it is not UTF-8 or says one thing twice.

    Else the answer would be to another question: U+FFFD, for example, is a key as any other.
    """
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as exc:
        raise BadRequestError("the query string is not UTF-8") from exc
    args = dict(pairs)
    if len(args) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise BadRequestError(f"{name[:SHOWN_MAX]}= is given more than once")
    return args
