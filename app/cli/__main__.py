"""`python -m app.cli`: the same as `event-counter`."""

from app.cli import main

main()
