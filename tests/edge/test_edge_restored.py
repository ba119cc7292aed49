"""A spool that was put back from an older copy: the city knows more, and a new epoch begins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.spool import Batch, Spool
from edge.spool.inspection import inspect
from edge.wire.frames import decode_frame
from edge.wire.messages import Ack
from tests.edge.conftest import AgentProcess, City
from tests.edge.test_edge_agent import started
from tests.edge.test_edge_spool import SITE, acked, opened, raised, reading
from tests.servers import until


def snapshot_ack(spool: Spool, newest: int | None) -> Ack:
    return Ack(
        site=SITE, epoch=spool.epoch, store="s1", lane="events", snapshot="n", newest_event=newest
    )


@pytest.mark.parametrize(("newest", "overtaken"), [(None, False), (0, False), (2, False), (3, True)])
def test_a_city_that_has_met_newer_events_has_overtaken_the_spool(
    tmp_path: Path, newest: int | None, overtaken: bool
) -> None:
    spool = opened(tmp_path / "spool.db")
    spool.commit(Batch(drafts=[raised("smoke", 1), raised("co", 2)]))
    settled = spool.acknowledge([snapshot_ack(spool, newest)])
    assert settled.overtaken == overtaken
    assert settled.snapshots == (set() if overtaken else {"n"})


def test_under_the_new_epoch_everything_is_sent_and_settled_and_sequences_go_on(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = opened(path, frame_readings=2)
    spool.commit(Batch(readings=[reading(1), reading(2)], drafts=[raised("smoke", 1)]))
    former = spool.epoch
    epoch = spool.renew_epoch()
    assert epoch == spool.epoch != former
    spool.commit(Batch(readings=[reading(3), reading(4)], drafts=[raised("co", 2)]))
    for _ in range(2):
        frames = spool.pending_frames(9, set())
        assert {decode_frame(frame.body).epoch for frame in frames} == {epoch}
        assert [frame.seq for frame in sorted(frames)] == [1, 2]
        assert {event.seq for event in spool.pending_events(9, set())} == {1, 2}
        spool.close()
        spool = opened(path, frame_readings=2)
    late = acked(spool, "events", [1], epoch=former)
    assert spool.acknowledge([late]).events == []
    spool.acknowledge([acked(spool, "events", [1, 2]), acked(spool, "frames", [1, 2])])
    assert spool.queued().events == spool.queued().readings == 0


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.edge.test_edge_spool import opened, raised, reading
from edge.spool import Batch
spool = opened(Path(sys.argv[1]), frame_readings=2)
spool.commit(Batch(readings=[reading(1), reading(2)], drafts=[raised("smoke", 1)],
    silenced={"a": 7}))
print(spool.epoch, flush=True)
def probe(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
spool._probe = probe
spool.renew_epoch()
"""


@pytest.mark.parametrize(("point", "renewed"), [("renewing", False), ("renewed", True)])
def test_a_process_killed_while_the_epoch_is_renewed_has_the_one_or_the_other(
    tmp_path: Path, point: str, renewed: bool
) -> None:
    script, path = tmp_path / "killed.py", tmp_path / "spool.db"
    script.write_text(_KILLED)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(path), point], capture_output=True, text=True, cwd=root,
        env={"PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    spool = opened(path, frame_readings=2)
    assert spool.reset is None
    assert (spool.epoch != done.stdout.strip()) == renewed
    [frame] = spool.pending_frames(9, set())
    assert decode_frame(frame.body).epoch == spool.epoch
    assert spool.silenced() == {"a": 7}


async def test_an_agent_whose_spool_was_put_back_goes_on_under_a_new_epoch(
    agent: AgentProcess, city: City
) -> None:
    await started(agent, city)
    await city.say("kitchen", co_ppm=1.0)
    await until(lambda: city.readings(), "a reading")
    assert agent.terminate() == 0
    copy = agent.data.with_name("copy")
    shutil.copytree(agent.data, copy)
    await started(agent, city)
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: city.alarms("raise", "smoke"), "an alarm that the copy does not know")
    await until(lambda: inspect(agent.data)["queued_events"] == 0, "it is acknowledged")
    assert agent.terminate() == 0
    [former] = {epoch for epoch, _ in city.events}
    shutil.rmtree(agent.data)
    os.rename(copy, agent.data)
    await started(agent, city)
    await until(lambda: "spool_restored" in city.notes(), "the note")
    epoch = inspect(agent.data)["epoch"]
    assert epoch != former
    await until(lambda: city.snapshots[-1].epoch == epoch, "a snapshot under the new epoch")
    await city.say("kitchen", co_ppm=2.0)
    await until(lambda: 2.0 in {r.co_ppm for r in city.readings()}, "a reading after it")
    assert {e for (e, _), event in city.events.items() if event.note == "spool_restored"} == {epoch}
