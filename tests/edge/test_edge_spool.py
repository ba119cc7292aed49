"""The spool by itself: nothing committed is lost, nothing acknowledged is forgotten or invented."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.spool import (
    ActiveAlarm,
    BadSample,
    Batch,
    DataFolder,
    Draft,
    FolderInUse,
    Spool,
    SpoolDamaged,
    SpoolFull,
    inspect,
)
from edge.spool.store import KEEP_ACKED_US
from edge.spool.thinning import thin
from edge.wire.clock import EARLIEST_US, US_PER_S, ManualClock
from edge.wire.frames import decode_frame, frame_from_readings
from edge.wire.identity import new_id
from edge.wire.messages import Ack, Alarm, AlarmKind, Rejected, ranges
from edge.wire.readings import Flag, Reading

SITE = "site"


def opened(path: Path, clock: ManualClock | None = None, **options: Any) -> Spool:
    return Spool(
        path, site=SITE, boot="boot-1", clock=clock or ManualClock(),
        **({"quota_bytes": 64 << 20} | options),
    )  # fmt: skip


def reading(number: int, detector: str = "d1", **values: Any) -> Reading:
    return Reading(detector=detector, time_us=EARLIEST_US + number * US_PER_S, **values)


def raised(kind: AlarmKind, at: int, detector: str = "d1") -> Draft:
    at_us = EARLIEST_US + at * US_PER_S
    alarm = Alarm(
        id=new_id(), kind=kind, detector=detector, raised_us=at_us, revision=1, reason="because"
    )
    return Draft(transition="raise", at_us=at_us, mono_us=at * US_PER_S, alarm=alarm)


def acked(spool: Spool, lane: Any, seqs: list[int], store: str = "s1", **rest: Any) -> Ack:
    return Ack(
        site=SITE, epoch=rest.pop("epoch", spool.epoch), store=store, lane=lane,
        seqs=ranges(seqs), **rest,
    )  # fmt: skip


def sent_readings(spool: Spool) -> list[Reading]:
    frames = spool.pending_frames(10_000, set())
    return [r for frame in sorted(frames) for r in decode_frame(frame.body).readings()]


def test_readings_are_cut_into_frames_and_none_is_lost_on_the_way(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db", frame_readings=7, frame_linger_s=60)
    wanted = [reading(number, co_ppm=float(number)) for number in range(40)]
    for start in range(0, 40, 3):
        spool.commit(Batch(readings=wanted[start : start + 3]))
    assert sent_readings(spool) == wanted[:35]
    assert spool.queued().readings == 40
    spool.close()
    spool = opened(tmp_path / "spool.db", frame_readings=7, frame_linger_s=60)
    spool.commit(Batch(), seal=True)
    assert sent_readings(spool) == wanted
    assert [frame.seq for frame in sorted(spool.pending_frames(99, set()))] == [1, 2, 3, 4, 5, 6]


def test_a_frame_is_sealed_when_its_oldest_reading_has_waited(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db", frame_linger_s=0)
    spool.commit(Batch(readings=[reading(1)]))
    assert spool.seal_in_s() == 0
    spool.commit(Batch())
    assert sent_readings(spool) == [reading(1)]
    assert spool.seal_in_s() is None


def test_alarms_go_first_and_the_newest_raise_before_the_older(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db")
    drafts = [
        raised("low_battery", 9), raised("smoke", 1), raised("test", 8), raised("co", 5),
        Draft(transition="raise", at_us=EARLIEST_US, mono_us=0, note="thinned"),
    ]  # fmt: skip
    spool.commit(Batch(drafts=drafts))
    assert [event.seq for event in spool.pending_events(9, set())] == [4, 2, 3, 1, 5]
    assert [event.seq for event in spool.pending_events(2, {4})] == [2, 3]


def test_live_frames_do_not_wait_behind_a_backlog(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db", frame_readings=1)
    spool.commit(Batch(readings=[reading(number) for number in range(9)]))
    assert [frame.seq for frame in spool.pending_frames(4, set())] == [9, 1, 8, 2]
    assert [frame.seq for frame in spool.pending_frames(4, {1, 2, 9})] == [8, 3, 7, 4]


def test_acknowledgements_of_another_epoch_or_site_change_nothing(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db")
    spool.commit(Batch(drafts=[raised("smoke", 1)]))
    spool.acknowledge([acked(spool, "events", [1], epoch="older")])
    assert spool.queued().events == 1
    spool.acknowledge([acked(spool, "frames", [1])])
    assert spool.queued().events == 1
    settled = spool.acknowledge([acked(spool, "events", [1])])
    assert settled.events == [(1, 1)]
    assert spool.queued().events == 0


def test_a_rejected_message_is_not_sent_again_and_its_reason_shows(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db", frame_readings=1)
    spool.commit(Batch(readings=[reading(1), reading(2)]))
    settled = spool.acknowledge(
        [acked(spool, "frames", [], rejected=[Rejected(seq=2, reason="inconsistent")])]
    )
    assert settled.rejected == {"inconsistent": 1}
    assert [frame.seq for frame in spool.pending_frames(9, set())] == [1]
    assert inspect(tmp_path)["rejected"] == {"inconsistent": 1}


def test_another_store_gets_everything_again_and_the_former_one_is_ignored(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db", frame_readings=1)
    spool.commit(Batch(drafts=[raised("smoke", 1), raised("co", 2)], readings=[reading(1)]))
    spool.acknowledge([acked(spool, "events", [1, 2]), acked(spool, "frames", [1])])
    assert spool.queued().events == 0
    settled = spool.acknowledge([acked(spool, "events", [2], store="s2")])
    assert settled.store_changed
    assert [event.seq for event in spool.pending_events(9, set())] == [1]
    assert [frame.seq for frame in spool.pending_frames(9, set())] == [1]
    late = spool.acknowledge([acked(spool, "events", [1], store="s1")])
    assert not late.store_changed
    assert [event.seq for event in spool.pending_events(9, set())] == [1]
    spool.close()
    assert opened(tmp_path / "spool.db").store == "s2"


def test_acknowledged_rows_are_kept_seven_days_and_sequences_go_on(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = opened(tmp_path / "spool.db", clock, frame_readings=1)
    spool.commit(Batch(drafts=[raised("smoke", 1)], readings=[reading(1)]))
    spool.acknowledge([acked(spool, "events", [1]), acked(spool, "frames", [1])])
    clock.advance(timedelta(microseconds=KEEP_ACKED_US))
    spool.keep_house()
    assert inspect(tmp_path)["kept_frames"] == 1
    clock.advance(timedelta(seconds=1))
    spool.keep_house()
    assert inspect(tmp_path)["kept_frames"] == inspect(tmp_path)["kept_events"] == 0
    spool.close()
    spool = opened(tmp_path / "spool.db", clock, frame_readings=1)
    spool.commit(Batch(drafts=[raised("co", 2)], readings=[reading(2)]))
    assert (spool.last_event_seq, spool.last_frame_seq) == (2, 2)
    assert spool.pending_events(9, set())[0].seq == 2


def test_a_full_spool_gives_up_acknowledged_frames_then_thins_and_keeps_every_event(
    tmp_path: Path,
) -> None:
    spool = opened(tmp_path / "spool.db", quota_bytes=1 << 20, frame_readings=100)
    number = 0
    while spool.used_bytes() < 3 << 20:
        batch = Batch(
            readings=[
                reading(number + at, f"d{at % 3}", co_ppm=(number + at) * 0.37) for at in range(1000)
            ]
        )
        batch.drafts.append(raised("low_battery", number))
        spool.commit(batch)
        number += 1000
    spool.acknowledge([acked(spool, "frames", list(range(1, 6)))])
    before = spool.queued()
    room = spool.make_room()
    after = spool.queued()
    assert room.dropped_acked == 5
    assert room.lost_readings == before.readings - after.readings > 0
    assert spool.used_bytes() <= 1 << 20
    assert after.events == number // 1000
    kept = sent_readings(spool)
    assert len(kept) == after.readings
    assert set(kept[-100:]) <= {
        reading(at, f"d{at % 1000 % 3}", co_ppm=at * 0.37) for at in range(number)
    }


def test_thinning_keeps_one_reading_a_minute_and_everything_that_speaks_up() -> None:
    rows = [reading(number, f"d{number % 2}", co_ppm=1.0) for number in range(0, 300, 5)]
    rows[7] = reading(35, "d1", flags=int(Flag.SMOKE_ALARM), flags_known=int(Flag.SMOKE_ALARM))
    frame = frame_from_readings(SITE, "e", 5, rows)
    kept = list(thin(frame, 1).readings())
    minutes = {((r.time_us - EARLIEST_US) // (60 * US_PER_S), r.detector) for r in kept}
    assert len(minutes) == 10
    assert len(kept) == 11
    assert rows[7] in kept
    assert set(kept) <= set(rows)
    assert thin(frame, 1).seq == 5


def test_a_full_disk_writes_nothing_of_the_batch_and_takes_it_later(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db")
    (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count={pages + 2}")
    batch = Batch(drafts=[raised("smoke", at, f"d{at}") for at in range(200)], states={"d": b"x" * 500})
    with pytest.raises(SpoolFull):
        spool.commit(batch)
    assert spool.queued().events == 0
    assert spool.last_event_seq == 0
    spool._db.execute("PRAGMA max_page_count=100000")
    spool.commit(batch)
    assert spool.queued().events == 200
    assert sorted(e.seq for e in spool.pending_events(999, set())) == list(range(1, 201))


def test_damage_that_shows_while_running_is_set_aside_at_the_next_start(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db", frame_readings=1)
    spool.commit(Batch(readings=[reading(number) for number in range(500)]))
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    epoch = spool.epoch
    with (tmp_path / "spool.db").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(SpoolDamaged):
        for number in range(50):
            spool._db.execute("PRAGMA shrink_memory")
            spool.commit(Batch(readings=[reading(number)], states={f"d{number}": b"x"}))
    spool.close()
    fresh = opened(tmp_path / "spool.db")
    assert fresh.reset is not None
    assert fresh.epoch != epoch
    assert inspect(tmp_path)["set_aside"] == [fresh.reset["file"]]
    fresh.close()
    assert opened(tmp_path / "spool.db").reset is None


@pytest.mark.parametrize(
    "content", [b"", b"no database at all" * 999, b"SQLite format 3\0" + b"\0" * 9999]
)
def test_whatever_lies_there_the_spool_opens(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool.db").write_bytes(content)
    spool = opened(tmp_path / "spool.db")
    assert (spool.reset is None) == (not content)
    spool.commit(Batch(readings=[reading(1)]))
    assert spool.queued().readings == 1


def test_states_alarms_and_facts_come_back_after_a_restart(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db")
    draft = raised("smoke", 1)
    assert draft.alarm is not None
    active = ActiveAlarm(alarm=draft.alarm, mono_us=5, boot="boot-1", synced=False)
    spool.commit(
        Batch(
            drafts=[draft], states={"d1": b"one", "d2": b"two"}, active={("d1", "smoke"): active},
            commands={"c": 7}, tests={"d2": 9}, alarm_now_us=11, mono_us=12,
        )
    )  # fmt: skip
    spool.commit(Batch(states={"d2": None}, tests={"d2": None}))
    spool.close()
    spool = opened(tmp_path / "spool.db")
    assert spool.states() == {"d1": b"one"}
    assert spool.active() == {("d1", "smoke"): active}
    assert spool.commands() == {"c": 7}
    assert spool.tests() == {}
    assert (spool.last_alarm_us, spool.last_mono_us, spool.last_boot) == (11, 12, "boot-1")


def test_the_newest_bad_samples_stay(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool.db")
    for number in range(50):
        sample = BadSample(at_us=1, topic=f"t{number}", reason="empty", detail="", head=b"\xff")
        spool.commit(Batch(samples=[sample]))
    topics = [sample["topic"] for sample in inspect(tmp_path)["bad_samples"]]
    assert topics == [f"t{number}" for number in range(30, 50)]


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    first.acquire()
    with pytest.raises(FolderInUse):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.edge.test_edge_spool import opened, raised, reading, acked
from edge.spool import Batch
point, count = sys.argv[2], 0
def probe(name):
    global count
    if name == point:
        count += 1
        if count == 4:
            os.kill(os.getpid(), signal.SIGKILL)
spool = opened(Path(sys.argv[1]), probe=probe, frame_readings=3, frame_linger_s=60)
for number in range(1, 99):
    spool.commit(Batch(readings=[reading(2 * number), reading(2 * number + 1)],
        drafts=[raised("smoke", number)], states={"d1": str(number).encode()}))
    print(number, flush=True)
    if number % 2:
        spool.acknowledge([acked(spool, "events", [number])])
        print(-number, flush=True)
"""


@pytest.mark.parametrize(
    "point", ["begun", "readings", "events", "written", "committed", "acknowledging"]
)
def test_a_process_killed_at_a_commit_point_keeps_all_or_nothing(tmp_path: Path, point: str) -> None:
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(_KILLED))
    path = tmp_path / "data" / "spool.db"
    path.parent.mkdir()
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(path), point], capture_output=True, text=True,
        cwd=root, env={"PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    numbers = [int(line) for line in done.stdout.split()]
    told = max(numbers)
    spool = opened(path, frame_readings=3, frame_linger_s=60)
    assert spool.reset is None
    kept = spool.last_event_seq
    assert kept == told + (1 if point == "committed" else 0)
    assert int(spool.states()["d1"]) == kept
    spool.commit(Batch(), seal=True)
    assert [r.time_us for r in sent_readings(spool)] == [
        reading(at).time_us for at in range(2, 2 * kept + 2)
    ]
    acknowledged = {-number for number in numbers if number < 0}
    pending = {event.seq for event in spool.pending_events(999, set())}
    assert pending == set(range(1, kept + 1)) - acknowledged


_FULL = """
import sys
from pathlib import Path
from tests.edge.test_edge_spool import opened, raised, reading
from edge.spool import Batch, SpoolFull
spool = opened(Path(sys.argv[1]), frame_readings=100)
full = lost = 0
for number in range(2000):
    batch = Batch(drafts=[raised("smoke", number)],
        readings=[reading(1000 * number + at, co_ppm=at * 0.37) for at in range(500)])
    for attempt in range(50):
        try:
            spool.commit(batch)
            break
        except SpoolFull:
            full += 1
            try:
                lost += spool.make_room(at_least_bytes=1 << 20).lost_readings
            except SpoolFull:
                pass
spool.close()
spool = opened(Path(sys.argv[1]))
assert spool.reset is None
print(spool.last_event_seq, full > 0, lost > 0, spool.queued().events)
"""


def test_on_a_full_disk_telemetry_gives_way_and_no_alarm_is_lost(tmp_path: Path) -> None:
    script, disk = tmp_path / "full.py", tmp_path / "disk"
    script.write_text(_FULL)
    disk.mkdir()
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=16m tmpfs {disk}"
    if subprocess.run([*small, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user namespace to mount a small disk in")
    root = Path(__file__).parents[2]
    run = f"{mount} && {sys.executable} {script} {disk}/spool.db && ls -l {disk} >&2"
    done = subprocess.run(
        [*small, run], capture_output=True, text=True, cwd=root, check=False,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )  # fmt: skip
    assert done.stdout.split() == ["2000", "True", "True", "2000"], done.stderr


class _Model:
    """What the city may believe, kept by hand beside the spool."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.events = 0
        self.acked: dict[str, set[int]] = {"events": set(), "frames": set()}
        self.store: str | None = None


_Step = Callable[[Spool, _Model], None]


def _commit(size: int, events: int) -> _Step:
    def do(spool: Spool, model: _Model) -> None:
        new = [reading(len(model.readings) + at) for at in range(size)]
        model.readings += new
        spool.commit(
            Batch(readings=new, drafts=[raised("co", model.events + at) for at in range(events)])
        )
        model.events += events

    return do


def _ack(lane: Any, seqs: list[int], store: str) -> _Step:
    def do(spool: Spool, model: _Model) -> None:
        if model.store not in (None, store):
            spool._acknowledger._former.clear()  # a minute later
            model.acked = {"events": set(), "frames": set()}
        model.store = store
        last = spool.last_event_seq if lane == "events" else spool.last_frame_seq
        spool.acknowledge([acked(spool, lane, seqs, store)])
        model.acked[lane] |= {seq for seq in seqs if seq <= last}

    return do


_STEPS = st.one_of(
    st.builds(_commit, st.integers(0, 9), st.integers(0, 3)),
    st.builds(
        _ack, st.sampled_from(["events", "frames"]), st.lists(st.integers(1, 12), max_size=5),
        st.sampled_from(["s1", "s1", "s1", "s2"]),
    ),
    st.just("reopen"),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(_STEPS, max_size=12))
def test_whatever_is_acknowledged_in_whatever_order_the_rest_is_pending(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.db"
    model = _Model()
    spool = opened(path, frame_readings=4, frame_linger_s=3600)
    for step in steps:
        if step == "reopen":
            spool.close()
            spool = opened(path, frame_readings=4, frame_linger_s=3600)
        else:
            step(spool, model)
        pending = {event.seq for event in spool.pending_events(999, set())}
        assert pending == set(range(1, model.events + 1)) - model.acked["events"]
        frames = {frame.seq for frame in spool.pending_frames(999, set())}
        assert frames == set(range(1, len(model.readings) // 4 + 1)) - model.acked["frames"]
        assert spool.last_frame_seq == len(model.readings) // 4
    spool.close()
    db = sqlite3.connect(path)
    bodies = [body for (body,) in db.execute("SELECT body FROM frame ORDER BY seq")]
    db.close()
    kept = [r for body in bodies for r in decode_frame(body).readings()]
    assert kept == model.readings[: len(kept)]
