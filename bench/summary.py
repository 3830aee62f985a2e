"""SUMMARY.md from the JSON of the last runs: `python -m bench.summary`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.support.results import RESULTS, readable

SUMMARY = Path(__file__).with_name("SUMMARY.md")
TITLES = {  # in the order of the summary
    "count": "Count a backlog",
    "flink": "Count a backlog beside Flink SQL",
    "steady": "A steady 1,000 events/s",
    "reads": "Read what was just sent",
    "store": "Store a backlog in Postgres",
    "ingest": "Take events over HTTP",
    "doors": "Take events of browsers and other clients",
    "tls": "TLS to Kafka",
    "client": "Send events from Python",
    "pages": "Show a hundred open pages",
    "browser": "Press 10,000 in a browser and watch",
    "query": "Answer queries while events flow",
    "stats": "Rankings and active users",
    "top_keys": "Rank the keys of a month",
    "recover": "Restore a deleted table",
    "takeover": "Take over from a count worker",
    "age": "What a year costs",
    "memory": "Memory of a count worker",
    "statistics": "Count with all statistics",
    "own_counters": "Count by your own counters",
}
HEAD = """\
# Benchmarks

Written by `make bench` from the figures of its last run; do not edit. Medians; in brackets, or
in the columns min and max, the range of all repeats. Compare figures within one table only: a ratio
is of two figures of the same repeat, measured one after the other on the same machine, which Kafka
and the load client share.
"""


def write_summary() -> None:
    """Write SUMMARY.md from whatever results there are; those of --quick are left out."""
    found = [
        json.loads(file.read_text("utf-8")) for name in TITLES if (file := _file(name)).exists()
    ]
    runs = [run for run in found if not run["quick"]]
    if not runs:
        raise SystemExit(f"no results in {RESULTS}; run `make bench`")
    SUMMARY.write_text("\n".join(summary(runs)), "utf-8")
    print(f"wrote {SUMMARY}")


def summary(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of SUMMARY.md."""
    yield HEAD
    yield "## Targets\n"
    yield "| path | reached | target | |\n|---|---:|---:|---|"
    for run in runs:
        yield from (target_line(f) for f in run["figures"] if target(f))
    for run in runs:
        yield f"\n## {TITLES[run['bench']]}\n"
        yield from (f"{note}\n" for note in run["notes"])
        yield "| figure | median | min | max | unit |\n|---|---:|---:|---:|---|"
        yield from (figure_line(figure) for figure in run["figures"])
        yield f"\n`python -m bench.{run['bench']}`: {options_of(run)}"
    yield "\n## Conditions\n"
    yield from conditions(runs)


def target(figure: dict[str, Any]) -> str:
    """Return the target of a figure in words, empty where it has none."""
    unit = _unit(figure)
    if figure.get("at_least") is not None:
        return f"at least {readable(figure['at_least'])}{unit}"
    if figure.get("at_most") is not None:
        return f"at most {readable(figure['at_most'])}{unit}"
    return ""


def reached(figure: dict[str, Any]) -> bool:
    """Return whether the median is where it should be."""
    median = figure["median"]
    if figure.get("at_least") is not None:
        return bool(median >= figure["at_least"])
    return bool(median <= figure["at_most"])


def target_line(figure: dict[str, Any]) -> str:
    """Return a row of the first table."""
    unit = _unit(figure)
    spread = f"({readable(figure['min'])}-{readable(figure['max'])})"
    verdict = "" if reached(figure) else "**missed**"
    value = f"{readable(figure['median'])}{unit} {spread}"
    return f"| {figure['name']} | {value} | {target(figure)} | {verdict} |"


def figure_line(figure: dict[str, Any]) -> str:
    """Return a row of the table of one script."""
    values = " | ".join(readable(figure[key]) for key in ("median", "min", "max"))
    return f"| {figure['name']} | {values} | {figure['unit']} |"


def options_of(run: dict[str, Any]) -> str:
    """Return what the script was given or took by default."""
    return ", ".join(f"{key} {value}" for key, value in run["options"].items() if key != "quick")


def conditions(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what the figures depend on; of the machine as the first script saw it."""
    first = runs[0]["conditions"]
    packages = ", ".join(f"{name} {version}" for name, version in first["packages"].items())
    yield f"- {first['cores']} cores ({first['processor']}), {first['memory_gb']} GB"
    yield f"- {first['system']}"
    yield f"- Python {first['python']}, Apache Kafka {first['kafka']} (one node), {packages}"
    yield "- before each script, load average and how busy all cores were:"
    for run in runs:
        seen = run["conditions"]
        changed = ", with changes not committed" if seen["changed"] else ""
        yield (
            f"  - {run['bench']}: {seen['load_average_before']}, {seen['busy_percent_before']} %;"
            f" {seen['at']}, commit {seen['commit']}{changed}"
        )
    yield ""


def _file(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _unit(figure: dict[str, Any]) -> str:
    return "x" if figure["unit"] == "x" else f" {figure['unit']}"


if __name__ == "__main__":
    write_summary()
