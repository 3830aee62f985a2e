"""Work that goes on until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.lasting import Lasting
from tests.support.waiting import SOON_S


async def goes_on() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ZeroDivisionError


async def is_cancelled() -> None:
    raise asyncio.CancelledError  # by aiokafka, for example


async def returns() -> None:
    return


@pytest.mark.parametrize("ends", [fails, is_cancelled, returns])
async def test_what_ends_by_itself_is_an_error(
    ends: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    lasting = Lasting("nobody works any more")
    lasting.start(goes_on(), ends())
    with pytest.raises(RuntimeError, match="nobody works any more") as failed:
        await asyncio.wait_for(lasting.ended(), SOON_S)
    assert isinstance(failed.value.__cause__, ZeroDivisionError) == (ends is fails)
    await asyncio.wait_for(lasting.stop(), SOON_S)


async def test_what_is_stopped_ends_in_peace_even_if_it_swallows_a_cancellation() -> None:
    swallowed = 0

    async def swallows() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await goes_on()
            except asyncio.CancelledError:
                swallowed += 1

    lasting = Lasting("nobody works any more")
    await lasting.ended()  # it has not begun
    lasting.start(goes_on(), swallows())
    ended = asyncio.ensure_future(lasting.ended())
    await asyncio.sleep(0)
    await asyncio.wait_for(lasting.stop(), SOON_S)
    await asyncio.wait_for(ended, SOON_S)
    assert swallowed == 2
