"""Whether all stores hold exactly what was acknowledged, once it is quiet."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import duckdb

from tests.night.sender import Sender
from tests.night.templates import SIZE
from tests.night.watch import AWAY
from tests.support.database import Database
from tests.support.exactness import differences
from tests.support.running_copy import ROOT, environment
from tests.support.waiting import wait_until

DEADLINE_S = 3600.0
COUNTED = "select url, type, count(*) from event where duplicate is not true"
BATCHES = "select product_id::int, count(*) from event where duplicate is not true group by 1"
Counts = Mapping[tuple[str, str], int]


class Verdict:
    """Use of(); expected: counts by url and type."""

    def __init__(self, sender: Sender, database: Database, say: Callable[[str], None]) -> None:
        self._sender, self._database, self._say = sender, database, say
        self.expected: Counter[tuple[str, str]] = Counter()
        self.app = 0

    async def of(self, url: str, **settings: Any) -> None:
        """Compare Postgres, tables, archive, and what `audit` compares; fail at a difference."""
        await wait_until(lambda: _lag(url), 0, deadline_s=DEADLINE_S, every_s=2, passing=AWAY)
        self._say("all is read; comparing")
        await self._expect()
        found = {(row[0], row[1]): row[2] for row in await self._rows(COUNTED, "group by 1, 2")}
        check("event", found, self.expected)
        await self._tables(url)
        archived = await asyncio.to_thread(_archived, Path(settings["data_dir"]))
        assert archived == self.app, f"the archive has {archived:,} rows, not {self.app:,}"
        await self._audit(settings)

    async def _expect(self) -> None:
        """Take batches without an answer as event has them, and each other one as whole."""
        found = {row[0]: row[1] for row in await self._rows(BATCHES)}
        whole = {number for number, count in found.items() if count == SIZE}
        assert max(found.values()) <= SIZE, "an event is there twice"
        missing = self._sender.acknowledged - whole
        assert not missing, f"{len(missing)} acknowledged batches are not whole, as {min(missing)}"
        strange = found.keys() - self._sender.acknowledged - self._sender.unclear
        assert not strange, f"{len(strange)} batches that nobody sent"
        unclear = [f"{number:09}" for number in self._sender.unclear]
        self.expected = self._sender.expected()
        for row in await self._rows(COUNTED, "and product_id = any($1) group by 1, 2", unclear):
            self.expected[row[0], row[1]] += row[2]
        app = "select count(*) from event where app_name is not null and product_id = any($1)"
        self.app = self._sender.expected_app() + (await self._database.fetch(app, unclear))[0][0]
        rows = (await self._database.fetch("select count(*) from event"))[0][0]
        some = sum(found.get(number, 0) for number in self._sender.unclear)
        self._say(
            f"{rows:,} rows; {self.expected.total():,} events count, of them {some:,} in"
            f" {len(unclear)} batches without an answer; {self._sender.again} named ones came again"
        )

    async def _audit(self, settings: dict[str, Any]) -> None:
        audit = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "audit"),
            env=environment(settings),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await audit.communicate()
        self._say(said.decode())
        assert audit.returncode == 0

    async def _rows(self, query: str, rest: str = "", *args: object) -> list[Any]:
        return await self._database.fetch(f"{query} {rest}", *args)

    async def _tables(self, url: str) -> None:
        """Compare each url and type that the count workers answer."""
        found: dict[tuple[str, str], int] = {}
        async with aiohttp.ClientSession(url) as http:
            for page in sorted({page for page, _ in self.expected}):
                path = f"/counts/events_by_url?key={quote(page, safe='')}"
                async with http.get(path) as answer:
                    assert answer.status == HTTPStatus.OK, await answer.text()
                    total = (await answer.json())["total"]
                found |= {(page, label): count for label, count in total.items()}
        check("events_by_url", found, self.expected)


def check(where: str, found: Counts, expected: Counts) -> None:
    """Fail with what differs."""
    different = differences(found, expected)
    assert not different, f"{where}: {different}"


async def _lag(url: str) -> int | None:
    async with aiohttp.ClientSession(url) as http, http.get("/stats/rates") as answer:
        if answer.status != HTTPStatus.OK:
            return None
        return max((await answer.json())["lag"].values(), default=0)


def _archived(folder: Path) -> int:
    files = str(folder / "archive" / "date=*" / "*.parquet")
    with duckdb.connect() as connection:
        found = connection.execute("select count(*) from read_parquet(?)", [files]).fetchall()
    return int(found[0][0])
