"""Installing, as make does it: progress, hashes, and one line where it cannot be done."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.stack import install
from tests.support.running_copy import ROOT

WHEEL = "tiny_thing-1.0-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
KIND = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
RECORD = "tiny_thing.py,,\n" + "".join(
    f"tiny_thing-1.0.dist-info/{name},,\n" for name in ("METADATA", "WHEEL", "RECORD")
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment to be copied: making one takes seconds."""
    venv = tmp_path_factory.mktemp("made") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    return venv


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """Serve a package index with one wheel; yield its address."""
    folder = tmp_path / "index/tiny-thing"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("tiny_thing.py", "it = 1\n")
        for name, text in (("METADATA", METADATA), ("WHEEL", KIND), ("RECORD", RECORD)):
            wheel.writestr(f"tiny_thing-1.0.dist-info/{name}", text)
    (folder / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>', "ascii")
    serve = partial(SimpleHTTPRequestHandler, directory=tmp_path / "index")
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def requirements(folder: Path, digest: str = "") -> Path:
    """Return a list with the wheel, and with one for other systems."""
    wheel = folder / "index/tiny-thing" / WHEEL
    digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
    listed = folder / "run.txt"
    nothing = f"never==1 ; sys_platform == 'win32' \\\n    --hash=sha256:{'0' * 64}\n"
    listed.write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{digest}\n{nothing}", "ascii")
    return listed


def run(made: Path, folder: Path, listed: Path, index: str) -> subprocess.CompletedProcess[str]:
    """Install with a Python environment of its own, a copy of one, and a project of nothing."""
    venv = shutil.copytree(made, folder / "venv", symlinks=True)
    project = folder / "project"
    project.mkdir()
    (project / "setup.cfg").write_text("[metadata]\nname = nothing\nversion = 1\n", "ascii")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
        "ascii",
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_NO_CACHE_DIR": "1"}
    return subprocess.run(
        [venv / "bin/python", "-I", ROOT / "app/stack/install.py", project, listed],
        env={**clean, **own, "no_proxy": "*"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_what_is_fetched_and_how_long_it_takes_is_told(
    made: Path, index: str, tmp_path: Path
) -> None:
    done = run(made, tmp_path, requirements(tmp_path), index)
    said = done.stdout.splitlines()
    assert said[0] == f"installing 2 packages into {tmp_path / 'venv'}, only once"
    assert "of 1 packages" in said[-1], "the other one is not for this system"
    assert list((tmp_path / "venv/lib").glob("*/site-packages/tiny_thing.py"))
    assert "Successfully installed tiny-thing-1.0" in (tmp_path / "venv/pip.log").read_text()


def test_another_file_than_the_one_in_the_list_is_refused(
    made: Path, index: str, tmp_path: Path
) -> None:
    done = run(made, tmp_path, requirements(tmp_path, "0" * 64), index)
    assert done.returncode == 1
    assert done.stderr == (
        "event-counter: tiny-thing==1.0 is not the file that its hash is of. "
        f"All that pip says is in {tmp_path / 'venv/pip.log'}\n"
    )
    assert list((tmp_path / "venv/lib").glob("*/site-packages/tiny_thing.py")) == []


def test_without_a_network_one_line_says_so(made: Path, index: str, tmp_path: Path) -> None:
    assert index
    done = run(made, tmp_path, requirements(tmp_path), "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be reached (Connection refused); the first start needs a network" in done.stderr


def test_a_python_that_is_too_old_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert install.main(str(tmp_path), "no list") == 1
    assert capsys.readouterr().err.startswith(
        f"event-counter: Python 3.11 or later is needed; {sys.executable} is 3.9.18. "
    )


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a Python that is too old."""
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.18"\nexit 1\n', "ascii")
    old.chmod(0o755)
    return old


def make(goal: str, venv: Path, python: Path) -> subprocess.CompletedProcess[str]:
    """Run make with an environment of its own."""
    command = ["make", "--no-print-directory", goal, f"VENV={venv}", f"PYTHON={python}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_make_refuses_a_python_that_is_too_old(old: Path, tmp_path: Path) -> None:
    done = make("run", tmp_path / "venv", old)
    assert done.returncode
    assert done.stdout == f"Python 3.11 or later is needed; {old} is Python 3.9.18\n"
    assert not (tmp_path / "venv").exists()


def removed(venv: Path) -> None:
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to(venv / "removed")


def upgraded(venv: Path) -> None:
    """Let the environment be of another minor version than its Python is now."""
    (packages,) = venv.glob("lib/python3*")
    packages.rename(packages.with_name("python3.0"))


@pytest.mark.parametrize("change", [removed, upgraded])
def test_make_makes_the_environment_anew_after_an_upgrade_of_python(
    change: Callable[[Path], None], made: Path, old: Path, tmp_path: Path
) -> None:
    """A Python that cannot make one shows that it is to: making one takes seconds."""
    venv = shutil.copytree(made, tmp_path / "venv", symlinks=True)
    (venv / "installed").touch()
    assert make(f"{venv}/bin/python", venv, old).returncode == 0, "as long as it works it stays"
    change(venv)
    assert make("help", venv, old).returncode == 0
    assert venv.exists(), "only what installs removes anything"
    done = make("run", venv, old)
    assert done.stdout == (
        f"{venv} is of a Python that is gone, or of another version: it is made anew\n"
        f"Python 3.11 or later is needed; {old} is Python 3.9.18\n"
    )
    assert not venv.exists()


def test_the_wheel_holds_all_that_a_start_needs(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    source = tmp_path / "source"
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    packages = ("app/", "agents/", "tables/", "web/", "sql/")
    needed = {
        name
        for name in listed
        if name.startswith(packages) and not name.endswith(("tsconfig.json", ".d.ts"))
    }
    assert needed - names == set()
