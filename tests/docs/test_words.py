"""One word per thing: a class or type alias has a name of its own (docs/internals/glossary.md)."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.docs.test_structure import PACKAGES, files

ALIAS = re.compile(r"_?[A-Z]\w*[a-z]\w*")


def name_of(node: ast.stmt) -> str:
    """Return the name that a class or type alias defines, without underscore; "" for others."""
    match node:
        case ast.ClassDef(name):
            return name.lstrip("_")
        case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)) if ALIAS.fullmatch(name):
            return name.lstrip("_")
    return ""


def definitions() -> dict[str, list[str]]:
    """Return the places in which each class or type alias is defined."""
    places = defaultdict(list)
    for file, tree, _ in files(*PACKAGES):
        for node in tree.body:
            if name := name_of(node):
                places[name].append(f"{file}:{node.lineno}")
    return places


def test_a_name_means_one_thing() -> None:
    assert {name: places for name, places in definitions().items() if len(places) > 1} == {}
