"""A filter of hashes: says of most hashes at once that they are not among many. Pure.

A Bloom filter of one function (B. H. Bloom, 1970) that is a hash already: its first bits are the
place of a bit. Sorted hashes go through memory in order, which is what makes it cheap.
"""

from __future__ import annotations

import numpy as np


class HashFilter:
    """2^width bits; a hash that was added is always found, another one by chance."""

    def __init__(self, width: int) -> None:
        """width: of the places, in bits."""
        self._shift = np.uint64(64 - width)
        self._bytes = np.zeros(1 << width - 3, np.uint8)

    def add(self, hashes: np.ndarray) -> None:
        """hashes: uint64 (n,), sorted, n > 0."""
        places = hashes >> self._shift
        within = places >> np.uint64(3)
        starts = np.flatnonzero(np.concatenate(([True], within[1:] != within[:-1])))
        bits = np.left_shift(1, places & np.uint64(7), dtype=np.uint8, casting="unsafe")
        self._bytes[within[starts]] |= np.bitwise_or.reduceat(bits, starts)

    def may_have(self, hashes: np.ndarray) -> np.ndarray:
        """Return bool (n,): False where a hash was not added. hashes: uint64 (n,)."""
        places = hashes >> self._shift
        found = self._bytes[places >> np.uint64(3)] >> (places & np.uint64(7)).astype(np.uint8)
        return (found & 1).astype(bool)  # type: ignore[no-any-return]
