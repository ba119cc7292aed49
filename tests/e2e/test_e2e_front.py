"""What a new user types first: ``utaa up``, with what can go wrong before, during and after it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.servers import DEADLINE_S
from utaa.ports import free_port

pytestmark = pytest.mark.timeout(240)
#: A loaded box with two cores starts six processes in this time.
_START_S = 90.0


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("UTAA_")}
    return {**own, "COLUMNS": "80"}


def _utaa(*words: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "utaa.cli", *words], capture_output=True, text=True, timeout=90,
        env=_environment(), cwd=cwd, input=stdin, check=False,
    )  # fmt: skip


def _wait(condition: Callable[[], object], what: str, deadline_s: float = _START_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:g} s in vain: {what}")
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while we look
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


@dataclass
class Running:
    """A command that runs in a folder, and what it said so far."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    broker_port: int

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.said
        return "whose is it?" in self.said

    def room(self, word: str) -> int | None:
        """The pid of a room's process."""
        for pid in _descendants(self.process.pid):
            with contextlib.suppress(OSError):
                if f"utaa.cli\0{word}\0" in Path(f"/proc/{pid}/cmdline").read_text():
                    return pid
        return None


@contextlib.contextmanager
def _up(folder: Path, *words: str) -> Iterator[Running]:
    port, broker_port = free_port(), free_port()
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "utaa.cli", "up", "--port", str(port),
             "--broker-port", str(broker_port), *words],
            stdout=said, stderr=said, env=_environment(), cwd=folder,
        )  # fmt: skip
    try:
        running = Running(process, folder, port, broker_port)
        _wait(running.ready, "utaa up to be ready")
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One ``utaa up`` with a relative folder, for the network, that the tests below share."""
    with _up(tmp_path_factory.mktemp("up"), "--listen", "0.0.0.0", "--data", "var/utaa") as running:
        yield running


def test_a_relative_folder_serves_the_network_and_names_an_address_devices_can_use(
    up: Running,
) -> None:
    assert httpx.get(f"http://127.0.0.1:{up.port}/readyz", trust_env=False).status_code == 200
    assert f"mqtt://0.0.0.0:{up.broker_port}" not in up.said
    assert re.search(rf"publish to mqtt://[\w.]+:{up.broker_port}, site home", up.said)
    assert len(re.findall("enter the code", up.said)) == 1
    assert not (up.folder / "var" / "utaa" / "var").exists()


def test_a_second_one_in_the_same_folder_is_told_who_is_first(up: Running) -> None:
    second = _utaa("up", "--data", "var/utaa", cwd=up.folder)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"in use by pid {up.process.pid}" in second.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--source", "frog"), r"--source frog: .*zigbee2mqtt"),
        (("--port", "99999"), r"--port 99999: expected 1 to 65535"),
        (("--broker-port", "0"), r"--broker-port 0: expected"),
        (("--site", "My Home"), r"--site My Home: "),
        (("--listen", "192.0.2.77"), r"192\.0\.2\.77.*--listen"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_starts(
    words: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    run = _utaa("up", "--data", "d", *words, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1, run.stderr
    assert re.search(expected, run.stderr)
    assert not (tmp_path / "d" / "brokers").exists()


@pytest.mark.parametrize("option", ["--port", "--broker-port"])
def test_a_busy_port_names_the_option_that_chooses_another(
    up: Running, option: str, tmp_path: Path
) -> None:
    taken = up.port if option == "--port" else up.broker_port
    run = _utaa("up", "--data", "d", option, str(taken), cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1, run.stderr
    assert re.search(rf"port {taken} for the .* {option}$", run.stderr.strip())


def test_settings_that_up_leaves_serve_import_publish_and_doctor(up: Running) -> None:
    """The way of docs/connect-a-detector.md, word by word."""
    page = (Path(__file__).parents[2] / "docs" / "connect-a-detector.md").read_text()
    home = re.search(r"```toml\n(# home\.toml\n.*?)```", page, re.DOTALL)
    assert home
    (up.folder / "home.toml").write_text(home[1])
    config = ("--config", "var/utaa/utaa.toml")
    assert f"utaa doctor {' '.join(config)}" in up.said
    taken = _utaa("registry", "import", "home.toml", *config, cwd=up.folder)
    assert taken.returncode == 0, taken.stderr
    assert f"{up.folder}/var/utaa/city/city.sqlite" in taken.stdout
    broker = f"localhost:{up.broker_port}"
    for payload in ('{"co_ppm": 3, "temperature_c": 21.5}', '{"co_ppm": "frog"}'):
        said = _utaa("sim", "publish", "--address", "kitchen", payload, "--broker", broker)
        assert said.returncode == 0, said.stderr

    def refused() -> bool:
        return "wrong_type" in _utaa("doctor", *config, cwd=up.folder).stdout

    _wait(refused, "the doctor to show the reading that made no sense", DEADLINE_S)
    files = _files(up.folder)
    for words in (("doctor", *config), ("doctor",)):  # the second finds them by itself
        seen = _utaa(*words, cwd=up.folder)
        assert seen.returncode == 0, seen.stdout
        assert "all well" in seen.stdout
        assert seen.stderr == ""
        assert max(map(len, seen.stdout.splitlines())) <= 80
        assert "agent in" in seen.stdout.replace("\n", " ")
    assert _files(up.folder) == files
    settings = (up.folder / "var" / "utaa" / "utaa.toml").read_text()
    assert not re.search(r"password|token|secret", settings)


def _files(folder: Path) -> set[Path]:
    """What lies there, but for what databases open and close themselves while they run."""
    living = re.compile(r"-(wal|shm|journal)$|/influx/|/mailbox/")
    return {path for path in folder.rglob("*") if not living.search(str(path))}


def test_a_doctor_who_finds_nothing_is_not_content_and_makes_nothing(tmp_path: Path) -> None:
    seen = _utaa("doctor", cwd=tmp_path)
    assert seen.returncode == 1
    assert "not well" in seen.stdout
    assert "all well" not in seen.stdout
    assert seen.stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", ["edge", "gateway"])
def test_a_room_that_dies_is_started_again_and_the_rest_goes_on(up: Running, room: str) -> None:
    other = "gateway" if room == "edge" else "edge"
    victim, bystander = up.room(room), up.room(other)
    assert victim
    os.kill(victim, signal.SIGKILL)
    _wait(lambda: up.room(room) not in {None, victim}, f"a new {room}")
    assert f"{room}" in up.said.splitlines()[-1]
    assert "again in" in up.said.splitlines()[-1]
    assert up.room(other) == bystander
    page = f"http://127.0.0.1:{up.port}/readyz"

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(page, trust_env=False).status_code == 200
        return False

    _wait(ready, "the page")


def test_a_room_that_cannot_start_is_given_up_with_its_own_word(tmp_path: Path) -> None:
    spool = tmp_path / "var" / "utaa" / "sites" / "home"
    spool.parent.mkdir(parents=True)
    spool.write_text("a file where the agent's folder should be")
    old = tmp_path / "var" / "utaa" / "logs" / "edge-home.log"
    old.parent.mkdir()
    old.write_text("utaa: an old line of another day\n")
    run = _utaa("up", "--port", str(free_port()), "--broker-port", str(free_port()), cwd=tmp_path)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert re.match(r"utaa: edge-home ended 5 times at once: the data folder .*", last), run.stderr
    assert "old line" not in run.stderr
    assert run.stderr.count("again in") == 4


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "terminal-closed"])
def test_nothing_outlives_it(how: signal.Signals, tmp_path: Path) -> None:
    with _up(tmp_path) as running:
        children = _descendants(running.process.pid)
        assert len(children) >= 4  # broker, mailbox, gateway, edge
        running.process.send_signal(how)
        running.process.wait(60)
        _wait(lambda: not any(map(_runs, children)), "every child to end", DEADLINE_S + 20)
        assert running.process.returncode == (0 if how is signal.SIGHUP else -signal.SIGKILL)
