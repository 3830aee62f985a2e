"""event-counter-client as a package: its wheel alone does what its README says."""

from __future__ import annotations

import ast
import asyncio
import sys
from pathlib import Path

from tests.clients.conftest import PACKAGE
from tests.docs.pages import BASE
from tests.support.http import Http

OLDEST = (3, 9)
DOCTEST = """
import doctest, sys
sys.path.insert(0, sys.argv[1])
text = open(sys.argv[2], encoding="utf-8").read().replace("{base}", sys.argv[3])
test = doctest.DocTestParser().get_doctest(text, {{}}, "README", "README.md", 0)
assert len(test.examples) > 20
sys.exit(doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(test).failed)
"""


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_the_wheel_alone_does_what_its_readme_says(http: Http, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    copy = tmp_path / "source"  # a build leaves folders behind
    for file in [*PACKAGE.glob("*.*"), *PACKAGE.glob("*/*.*")]:
        if file.is_file():
            place = copy / file.relative_to(PACKAGE)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    target = str(tmp_path / "target")
    await run(
        *pip, "--no-deps", "--no-index", "--no-build-isolation", "--target", target, str(copy)
    )
    script = DOCTEST.format(base=BASE)
    # -I -S: nothing but the standard library and the wheel.
    command = (sys.executable, "-I", "-S", "-c", script)
    await run(*command, target, str(PACKAGE / "README.md"), http.url)


def test_it_is_written_in_the_oldest_python_it_names() -> None:
    files = list((PACKAGE / "event_counter_client").glob("*.py"))
    assert files
    for file in files:
        ast.parse(file.read_text("utf-8"), file.name, feature_version=OLDEST)
