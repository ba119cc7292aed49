"""The rules of the house that no linter knows: what is tracked, what is locked, who imports whom."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent.parent
#: What is called by its name; a ``.py`` beside it is called by ``python``.
_SCRIPTS = sorted(
    path for path in [*(_ROOT / "scripts").iterdir(), _ROOT / ".ci" / "run"] if not path.suffix
)
#: Spelled in pieces, so that this file does not find itself.
_FORBIDDEN = {
    "an address of a package registry": re.compile(
        r"https?://[^\s\"'<>]*(?:" + r"pypi\.|python" + r"hosted|npm" + r"js\.|npm" + r"mirror)"
        r"|--(?:extra-)?index" + r"-url[ =]\S|//regis" + r"try\.",
        re.IGNORECASE,
    ),
    "a path of somebody's machine": re.compile(r"/(?:wo" + r"rk|ro" + r"ot|home/[a-z]+)/[\w.]"),
    "a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----"),
}
#: A folder of a container, and addresses of the family's pages, are no machine of ours.
_ALLOWED_PATHS = re.compile(r"/home/(?:utaa|incidents|contacts)/")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=_ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git checkout: nothing is tracked here")
    return [_ROOT / name for name in listed.stdout.decode().split("\0") if name]


@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_executable_and_parses(script: Path) -> None:
    first = script.read_text().splitlines()[0]
    assert os.access(script, os.X_OK), f"chmod +x {script}"
    assert first.startswith("#!/"), f"{script} does not say who runs it"
    if first == "#!/bin/sh":
        subprocess.run(["sh", "-n", str(script)], check=True)
        assert re.search(r"^set -e?u", script.read_text(), re.MULTILINE), "unset names must fail"


@pytest.mark.parametrize("what", _FORBIDDEN)
def test_nothing_tracked_holds(what: str) -> None:
    found = [
        f"{path.relative_to(_ROOT)}:{number}"
        for path in _tracked()
        if path.is_file()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if _FORBIDDEN[what].search(_ALLOWED_PATHS.sub("", line))
    ]
    assert not found, f"{what} in {found}"


def test_no_file_is_tracked_that_a_command_makes() -> None:
    made = re.compile(r"(^|/)(node_modules|__pycache__|dist|build|\.venv)/|\.(mo|pyc|db|log)$")
    assert not [path for path in _tracked() if made.search(path.relative_to(_ROOT).as_posix())]


def _lock() -> dict[str, str]:
    """Package → its entry in the lock."""
    text = (_ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    return {_normal(re.split(r"[=\[ ]", entry)[0]): entry for entry in entries if entry.strip()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {_normal(re.split(r"[\[<>=!~; ]", need)[0]) for need in wanted}
    assert not names - set(_lock()), "run: make lock"


def test_every_locked_package_has_a_version_and_hashes() -> None:
    for name, entry in _lock().items():
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S", entry), name
        assert "--hash=sha256:" in entry, name


def test_the_import_contract_holds() -> None:
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_import_contract_knows_every_room() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]
    built = {
        Path(package).name for package in project["hatch"]["build"]["targets"]["wheel"]["packages"]
    }
    assert set(project["importlinter"]["root_packages"]) == built


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted((_ROOT / "edge" / "wire").glob("*.py")), ids=lambda p: p.stem)
def test_the_ground_floor_does_no_input_or_output(path: Path) -> None:
    forbidden = {"asyncio", "http", "httpx", "logging", "os", "pathlib", "socket", "sqlite3",
                 "subprocess", "threading", "structlog", "sqlalchemy", "paho", "aiomqtt"}  # fmt: skip
    if path.stem == "packing":
        forbidden -= {"threading"}  # zstd's contexts are each thread's own; it starts none
    assert not {name.split(".")[0] for name in _imports(path)} & forbidden


def test_opencv_is_met_in_edge_cameras_only() -> None:
    sources = [path for path in _tracked() if path.suffix == ".py" and path.exists()]
    users = [
        path.relative_to(_ROOT).as_posix()
        for path in sources
        if "tests" not in path.parts and "cv2" in {name.split(".")[0] for name in _imports(path)}
    ]
    assert all(user.startswith("edge/cameras/") for user in users), users


def test_tests_have_names_of_their_own_and_no_package() -> None:
    tests = [path for path in _tracked() if _ROOT / "tests" in path.parents]
    names = [path.name for path in tests if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
    assert not [path for path in tests if path.name == "__init__.py"]


def test_a_test_that_is_skipped_says_why() -> None:
    bare = re.compile(r"pytest\.skip\(\s*\)|@pytest\.mark\.skip\b(?!if|\(reason)|xfail")
    found = [
        path.name
        for path in _tracked()
        if path.name.startswith("test_") and path != Path(__file__) and bare.search(path.read_text())
    ]
    assert not found
