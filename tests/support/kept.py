"""What only a collection of the garbage collector would free."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from types import CoroutineType, FrameType
from typing import Any

import pytest

from tests.support.running_copy import ROOT


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """Yield what only a collection would free; it is empty until gc.collect()."""
    gc.collect()
    gc.freeze()  # what was there before is looked at no more
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def frames_in(found: Iterable[Any], folder: str) -> set[str]:
    """Return where the frames among some objects stand, of the code in a folder."""
    frames = [one.cr_frame if isinstance(one, CoroutineType) else one for one in found]
    return {
        f"{one.f_code.co_filename}:{one.f_lineno}"
        for one in frames
        if isinstance(one, FrameType) and one.f_code.co_filename.startswith(str(ROOT / folder))
    }
