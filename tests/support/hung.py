"""A test that hangs says what it waits for; then its process ends, and another goes on.

pytest-timeout prints the stacks of the threads, of which a hung coroutine is in none, to where
nobody sees them under pytest-xdist.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

_timer = pytest.StashKey[threading.Timer]()


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Begin to wait for the end of a test, instead of what pytest-timeout does."""
    timer = threading.Timer(settings.timeout, _end, (item, settings.timeout))
    timer.daemon = True
    timer.start()
    item.stash[_timer] = timer
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Stop waiting."""
    item.stash[_timer].cancel()
    return True


def _end(item: pytest.Item, timeout_s: float) -> None:
    item.config.pluginmanager.getplugin("capturemanager").suspend_global_capture()
    lines = f"{item.nodeid} hangs for {timeout_s:g} s in", *waits(), ""
    sys.stderr.write("\n".join(lines))
    sys.stderr.flush()
    faulthandler.dump_traceback(sys.stderr)
    os._exit(1)


def waits() -> list[str]:
    """Return a text for each task of asyncio that has not ended: where it is, outermost first."""
    tasks = [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Task)]
    return [
        "\n".join([f"task {task.get_name()}", *_places(task.get_coro())])
        for task in tasks
        if not task.done()
    ]


def _places(coroutine: Any) -> Iterator[str]:
    while frame := getattr(coroutine, "cr_frame", None):
        yield f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        coroutine = coroutine.cr_await
