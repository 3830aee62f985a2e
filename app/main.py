"""The app of this process, for `faust -A app.main worker`: the role is EVENT_COUNTER_ROLE."""

import os

import mode.loop

mode.loop.use("uvloop")

from app.factory import create_app  # noqa: E402 - the loop comes before Faust
from app.settings import Settings  # noqa: E402

app = create_app(Settings.from_env(os.environ))
