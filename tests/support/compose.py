"""The environment of a service in a compose file, as docker compose would pass it on."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REQUIRED = re.compile(r"\$\{(\w+):\?[^}]*\}")


def filled(environment: Mapping[str, object]) -> dict[str, str]:
    """Return the variables, where one of the user's must be given with its name as the value."""
    return {name: _REQUIRED.sub(r"\1", str(value)) for name, value in environment.items()}
