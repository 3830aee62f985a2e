"""requirements/ holds what setup.cfg asks for, at the versions of constraints.txt, with hashes."""

from __future__ import annotations

import configparser
import re

import pytest

from tests.docs.pages import ROOT

NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """Return {name: version}."""
    return {plain(name): version for name, version in NAME.findall(text)}


def plain(name: str) -> str:
    """Return a name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(extra: str) -> set[str]:
    """Return the packages that setup.cfg asks for, with an extra."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    lines += setup["options.extras_require"][extra].splitlines() if extra else []
    names = (re.match(r"[\w.-]+", line) for line in lines if not line.startswith("#"))
    return {plain(name[0]) for name in names if name}


@pytest.mark.parametrize(("file", "extra"), [("run", ""), ("test", "test"), ("docs", "docs")])
def test_every_package_has_the_version_of_the_constraints_and_hashes(file: str, extra: str) -> None:
    text = (ROOT / f"requirements/{file}.txt").read_text("utf-8")
    listed, known = pins(text), pins((ROOT / "constraints.txt").read_text("utf-8"))
    again = "run: make lock"
    assert asked_for(extra) - listed.keys() == set(), again
    differing = {name for name, version in listed.items() if known.get(name, version) != version}
    assert differing == set(), again
    assert "setuptools" in listed, "it builds the project itself"
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block
