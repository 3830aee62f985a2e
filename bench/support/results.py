"""Figures of one benchmark: printed as they come, written as JSON, see bench/summary.py."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from app.stack.jars import KAFKA_VERSION
from bench.support.stack import load_average

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = (
    *("faust-event-counter", "faust-streaming", "aiokafka", "aiohttp", "asyncpg", "msgspec"),
    *("rocksdict", "uvloop"),
)


class Report:
    """Figures and checks of one script, a value for each repeat.

    A check is a figure with a target: a ratio of two figures of the same repeat (unit "x"), or
    a limit. Those of a run with --quick say nothing about the targets.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self._name = name
        self._quick = bool(options.quick)
        self._repeats = int(options.repeats)
        self._options = {key: str(value) for key, value in vars(options).items()}
        self._figures: dict[str, dict[str, Any]] = {}
        self._notes: list[str] = []
        self._conditions = conditions()

    def repeats(self) -> Iterator[int]:
        """Yield the number of each repeat, from 0 on, and say that it begins."""
        for number in range(self._repeats):
            print(f"repeat {number + 1} of {self._repeats}", flush=True)
            yield number

    def figure(self, name: str, value: float, unit: str) -> float:
        """Add a value; returns it."""
        self._add(name, value, unit)
        return value

    def check(
        self,
        name: str,
        value: float,
        unit: str = "x",
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Add a value that has a target."""
        entry = self._add(name, value, unit)
        entry["at_least"], entry["at_most"] = at_least, at_most

    def note(self, text: str) -> None:
        """Add a sentence that a reader of the figures must know."""
        if text not in self._notes:
            self._notes.append(text)
            print(f"  note: {text}")

    def save(self) -> Path:
        """Write the JSON and return where it is."""
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"{self._name}.json"
        for entry in self._figures.values():
            entry.update(spread(entry["values"]))
        found = {
            "bench": self._name,
            "quick": self._quick,
            "options": self._options,
            "conditions": {**self._conditions, "load_average_after": load_average()},
            "figures": list(self._figures.values()),
            "notes": self._notes,
        }
        file.write_text(json.dumps(found, indent=1), "utf-8")
        print(f"wrote {file}")
        return file

    def _add(self, name: str, value: float, unit: str) -> dict[str, Any]:
        entry = self._figures.setdefault(name, {"name": name, "unit": unit, "values": []})
        entry["values"].append(value)
        print(f"  {name:<72} {readable(value):>12} {unit}", flush=True)
        return entry


def spread(values: list[float]) -> dict[str, float]:
    """Return median, min and max."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def percentile(values: list[float], percent: float) -> float:
    """Return the value that so many percent are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def readable(value: float) -> str:
    """Return a figure with three significant digits or none after the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def conditions() -> dict[str, Any]:
    """Return what the figures depend on, before anything is started."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "packages": {name: version(name) for name in PACKAGES},
        "load_average_before": load_average(),
        "busy_percent_before": psutil.cpu_percent(interval=2.0),
    }


def options(description: str | None, *, repeats: int = 3) -> argparse.ArgumentParser:
    """Return a parser with what all scripts take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try it out")
    parser.add_argument("--repeats", type=int, default=repeats, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="of all random choices")
    return parser


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
