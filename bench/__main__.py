"""`python -m bench`: all scripts one after the other, then SUMMARY.md; `make bench` calls it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from bench.summary import SUMMARY, TITLES, write_summary
from bench.support.peer import ROOT

SCRIPTS = (*TITLES, "duplicates")


def main() -> int:
    """Run all or some; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scripts", nargs="*", metavar="NAME", help=f"default: {' '.join(SCRIPTS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try it out")
    chosen = parser.parse_args()
    if unknown := set(chosen.scripts) - set(SCRIPTS):
        parser.error(f"unknown: {' '.join(sorted(unknown))}; there are {' '.join(SCRIPTS)}")
    failed = []
    for name in chosen.scripts or SCRIPTS:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"bench.{name}", *(["--quick"] if chosen.quick else [])]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(f"== {name} took {time.monotonic() - began:.0f} s", flush=True)
    if chosen.quick:
        print(f"{SUMMARY.name} stays as it is: figures of --quick say nothing about the targets")
    else:
        write_summary()
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
