"""`make night`: how many events, how often something breaks, and where."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.stack.ports import free_port
from tests.night.faults import Faults
from tests.night.hostile import Hostile
from tests.night.sender import Sender
from tests.night.templates import template
from tests.night.verdict import Verdict
from tests.night.watch import Watch
from tests.support.database import Database
from tests.support.seeds import kill_seed

TEMPLATES = 200
BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print a line with the minutes since the start."""
    sys.stdout.write(f"{(time.monotonic() - BEGAN) / 60:6.1f} min  {text}\n")
    sys.stdout.flush()


def chosen() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.night", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--every", type=float, default=40, help="seconds from fault to fault")
    parser.add_argument("--hostile", action="store_true", help="somebody sends bodies to harm it")
    parser.add_argument("--folder", type=Path, help="for the data; else a temporary one")
    return parser.parse_args()


async def night(args: argparse.Namespace, folder: Path) -> None:
    """Send, break, watch, and compare at the end."""
    seed = kill_seed()
    say(f"KILL_SEED={seed}, {args.events:,} events in {folder}")
    rng = random.Random(seed)
    data = folder / "data"
    settings = {"data_dir": data, "http_port": free_port(), "count_workers": 2}
    faults = Faults(rng, say, **settings)
    try:
        await faults.copy.ready()
        sender = Sender(faults.copy.url, [template(rng) for _ in range(TEMPLATES)], args.events)
        watch = Watch(faults.copy.url, data, say)
        sender.go.set()
        besides = [faults.go_on(args.every), watch.follow(faults, sender)]
        hostile = Hostile(faults.copy.url, rng)
        if args.hostile:
            besides.append(hostile.run())
        await _load(sender, besides)
        say(f"{watch.summary()}; {dict(hostile.done)}")
        say(f"sent; {dict(faults.happened)}; {watch.answers:,} answers, none ever less than before")
        facts = json.loads((data / "run.json").read_text("utf-8"))
        await Verdict(sender, Database(facts["postgres"]), say).of(faults.copy.url, **settings)
        say("exact")
        assert await faults.copy.interrupt() == 0
    finally:
        faults.copy.end()


async def _load(sender: Sender, besides: list[Coroutine[Any, Any, None]]) -> None:
    """Send all, while other things go on; fail as soon as one of them fails."""
    sending = asyncio.create_task(sender.send())
    others = [asyncio.create_task(one) for one in besides]
    done, _ = await asyncio.wait([sending, *others], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    for task in others:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def main() -> None:
    """Run a night."""
    args = chosen()
    if args.folder:
        asyncio.run(night(args, args.folder))
    else:
        with tempfile.TemporaryDirectory(prefix="night-") as folder:
            asyncio.run(night(args, Path(folder)))


if __name__ == "__main__":
    main()
