"""The core by itself, on a clock that moves when told to."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.agent.configuration import BadConfig, SiteConfig, check
from edge.agent.core import Core
from edge.agent.intake import Intake
from edge.agent.orders import Orders
from edge.agent.recent import Recent
from edge.agent.timeline import AlarmTime
from edge.link import BrokerAddress
from edge.sources import RawMessage, Router, build
from edge.sources.base import Order
from edge.spool import Batch, Spool
from edge.wire.clock import US_PER_S, ManualClock
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Command, Config, DetectorSettings, Event, encode
from edge.wire.readings import Reading
from edge.wire.topics import detector_topic, siren_topic

SITE = "site"
NOW_US = 1_790_000_000 * US_PER_S
HOUR = timedelta(hours=1)


class House:
    """A core with its spool; ``commit`` writes the batch and returns the events in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(NOW_US)
        self.synced = True
        self.config = SiteConfig()
        self.open()

    def open(self) -> None:
        self.spool = Spool(
            self.folder / "spool.db", site=SITE, boot="b", clock=self.clock, quota_bytes=64 << 20
        )
        time = AlarmTime(
            self.clock, boot="b", last_us=self.spool.last_alarm_us,
            last_mono_us=self.spool.last_mono_us, last_boot=self.spool.last_boot,
        )  # fmt: skip
        self.core = Core(
            spool=self.spool, router=Router([build("native", SITE)]), clock=self.clock, time=time,
            config=self.config, synced=lambda: self.synced,
        )  # fmt: skip

    def reopen(self) -> None:
        self.spool.close()
        self.open()

    def say(
        self, address: str, retained: bool = False, redelivered: bool = False, **values: Any
    ) -> None:
        topic = detector_topic(address, "reading")
        payload = json.dumps(values).encode()
        message = RawMessage(topic, payload, retained, self.clock.now_us())
        self.core.take(message, redelivered=redelivered)

    def configure(self, *addresses: str, **settings: Any) -> None:
        config = Config(
            site=SITE, version=self.config.version + 1, alarms=settings,
            detectors=[
                DetectorSettings(detector=ident(one), source="native", address=one)
                for one in addresses
            ],
        )  # fmt: skip
        self.config = check(encode(config), SITE)
        self.core.configure(self.config)

    def wait(self, delta: timedelta) -> None:
        self.clock.advance(delta)
        self.core.tick()

    def commit(self) -> list[tuple[str, str]]:
        drafts = self.core.batch.drafts
        said = [
            (d.transition, d.alarm.kind if d.alarm else "device" if d.device else str(d.note))
            for d in drafts
        ]
        self.spool.commit(self.core.sealed_batch())
        self.core.committed()
        return said

    def events(self) -> list[Event]:
        rows = sorted(self.spool.pending_events(9999, set()))
        return [Event(**json.loads(row.body)) for row in rows]


def ident(address: str) -> str:
    return detector_id(SITE, "native", address)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_an_unlisted_device_is_told_once_and_again_when_its_facts_change(house: House) -> None:
    house.say("attic", co_ppm=1.0)
    assert house.commit() == [("raise", "device")]
    house.say("attic", co_ppm=2.0)
    assert house.commit() == []
    house.say("attic", co_ppm=3.0, model="X1")
    assert house.commit() == [("update", "device")]
    house.reopen()
    house.say("attic", co_ppm=4.0, model="X1")
    assert house.commit() == []


def test_a_listed_device_is_told_only_when_it_is_taken_off_the_list(house: House) -> None:
    house.configure("attic")
    house.say("attic", co_ppm=1.0)
    assert house.commit() == []
    house.configure()
    assert house.commit() == [("raise", "device")]
    house.configure()
    assert house.commit() == []


def test_a_listed_detector_that_never_speaks_is_told_and_cleared_when_taken_off(house: House) -> None:
    house.configure("attic", "cellar", never_seen_after_s=3600.0)
    house.wait(timedelta(minutes=59))
    assert house.commit() == []
    house.say("cellar", co_ppm=1.0)
    house.wait(timedelta(minutes=2))
    assert house.commit() == [("raise", "never_seen")]
    house.configure("cellar", never_seen_after_s=3600.0)
    assert house.commit() == [("clear", "never_seen")]
    assert ident("attic") not in house.spool.states()
    assert house.spool.active() == {}


@pytest.fixture
def crowded(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house with room for three strangers, which is taken."""
    monkeypatch.setattr("edge.agent.core.MAX_UNLISTED", 3)
    for number in range(3):
        house.say(f"stranger-{number}", co_ppm=1.0)
    house.commit()
    return house


def test_invented_addresses_use_no_room_beyond_the_bound(crowded: House) -> None:
    crowded.configure("attic")
    for number in range(50):
        crowded.say(f"invented-{number}", co_ppm=1.0)
        crowded.say(f"kept-{number}", retained=True, smoke_alarm=True, model="X1")
        topic = detector_topic(f"there-{number}", "status")
        crowded.core.take(RawMessage(topic, b"online", False, crowded.clock.now_us()))
    crowded.say("stranger-1", co_ppm=1.0)
    crowded.say("attic", co_ppm=1.0)
    assert crowded.commit() == []
    for _ in range(2):
        assert set(crowded.spool.states()) == {ident(f"stranger-{n}") for n in range(3)} | {
            ident("attic")
        }
        assert len(crowded.spool.devices()) == 4
        crowded.reopen()
        crowded.say("invented-60", co_ppm=1.0)
        assert crowded.commit() == []
        assert crowded.core.counters["readings"]["unlisted_turned_away"] == 1


def test_turned_away_strangers_are_counted(crowded: House) -> None:
    for number in range(7):
        crowded.say(f"invented-{number}", co_ppm=1.0)
    assert crowded.core.counters["readings"]["unlisted_turned_away"] == 7
    assert not crowded.core.batch.readings


def test_a_stranger_beyond_the_bound_that_says_fire_or_carbon_monoxide_is_heard(crowded: House) -> None:
    crowded.wait(timedelta(hours=30))
    assert crowded.commit() == [("raise", "lost")] * 3
    for number, flag in enumerate(["smoke_alarm", "co_alarm", "heat_alarm"]):
        crowded.say(f"burning-{number}", **{flag: True})
        kind = flag.removesuffix("_alarm")
        assert crowded.commit() == [("clear", "lost"), ("raise", "device"), ("raise", kind)]
    burning = {ident(f"burning-{number}") for number in range(3)}
    assert set(crowded.spool.devices()) == set(crowded.spool.states()) == burning
    assert {detector for detector, _ in crowded.spool.active()} == burning
    crowded.say("burning-3", smoke_alarm=True)  # there is nobody left to make room
    assert crowded.commit() == []
    assert crowded.core.counters["readings"]["unlisted_turned_away"] == 1


def test_a_silent_detector_is_lost_and_found_across_a_restart(house: House) -> None:
    house.configure("attic", deadline_s=7200.0)
    house.say("attic", co_ppm=1.0)
    house.commit()
    house.clock.advance(HOUR)
    house.reopen()  # an hour in which we heard nobody is nobody's silence
    house.wait(timedelta(minutes=119))
    assert house.commit() == []
    house.wait(timedelta(minutes=2))
    assert house.commit() == [("raise", "lost")]
    house.reopen()
    house.say("attic", co_ppm=1.0)
    assert house.commit() == [("clear", "lost")]
    raised, cleared = house.events()
    assert raised.alarm["id"] == cleared.alarm["id"]  # type: ignore[index]
    assert cleared.alarm["revision"] > raised.alarm["revision"]  # type: ignore[index]


@pytest.mark.parametrize("how", ["the edge was off", "the site's broker was away"])
def test_two_hundred_detectors_of_a_site_that_could_not_hear_them_are_not_lost(
    house: House, how: str
) -> None:
    addresses = [f"room-{n}" for n in range(200)]
    house.configure(*addresses, deadline_s=7200.0)
    for address in addresses:
        house.say(address, co_ppm=1.0)
    house.commit()
    if how == "the edge was off":
        house.clock.advance(5 * HOUR)
        house.reopen()
    else:
        house.core.hears(False)
        for _ in range(5):
            house.wait(HOUR)
        house.core.hears(True)
    house.wait(timedelta(minutes=1))
    for address in addresses[1:]:
        house.say(address, co_ppm=1.0)
    assert house.commit() == []
    house.wait(2 * HOUR)
    assert house.commit()[:1] == [("raise", "lost")]  # the one that is still silent


def test_a_connection_that_breaks_for_seconds_hides_no_lost_detector(house: House) -> None:
    house.configure("attic", deadline_s=7200.0)
    house.say("attic", co_ppm=1.0)
    house.commit()
    for _ in range(7 * 60):
        house.core.hears(False)
        house.clock.advance(timedelta(seconds=5))
        house.core.hears(True)
        house.wait(timedelta(seconds=15))
    assert house.commit() == [("raise", "lost")]


def test_a_box_that_is_off_every_night_still_tells_who_is_lost(house: House) -> None:
    house.configure("attic", deadline_s=24 * 3600.0)
    for _ in range(3):
        house.wait(8 * HOUR)
        house.say("attic", co_ppm=1.0)
        house.commit()
    told: list[tuple[str, str]] = []
    days = 0
    while not told:
        days += 1
        assert days <= 3
        for _ in range(16 * 6):
            house.wait(HOUR / 6)
            told += house.commit()
        house.clock.advance(8 * HOUR)
        house.reopen()
    assert told == [("raise", "lost")]
    assert days == 2


def test_the_time_is_written_also_when_nothing_comes(house: House) -> None:
    house.configure("attic")
    house.commit()
    written = 0
    for _ in range(6 * 60):
        house.wait(timedelta(minutes=1))
        if not house.core.batch.is_empty():
            written += 1
            house.commit()
    (time_us,) = house.spool._db.execute("SELECT value FROM meta WHERE key='alarm_now_us'").fetchone()
    assert house.core.now_us() - time_us <= 660 * US_PER_S
    assert 30 <= written <= 40


def test_a_step_of_the_wall_clock_moves_no_deadline(house: House) -> None:
    house.configure("attic", deadline_s=7200.0)
    house.say("attic", co_ppm=1.0)
    house.commit()
    house.clock.set_wall(NOW_US + 86_400 * US_PER_S)
    house.wait(HOUR)
    assert house.commit() == []
    house.clock.set_wall(NOW_US - 86_400 * US_PER_S)
    house.wait(2 * HOUR)
    assert house.commit() == [("raise", "lost")]
    [event] = house.events()
    hour_past_us = house.clock.now_us() - int(HOUR.total_seconds()) * US_PER_S
    assert hour_past_us - US_PER_S <= event.at_us <= house.clock.now_us()


def test_a_retained_message_teaches_and_raises_nothing(house: House) -> None:
    house.say("attic", retained=True, smoke_alarm=True, model="X1")
    assert house.commit() == [("raise", "device")]
    assert house.spool.queued().readings == 0
    assert house.core.devices.fact(ident("attic")).model == "X1"  # type: ignore[union-attr]


def test_what_a_test_mode_raises_is_a_test_and_what_outlasts_it_is_real(house: House) -> None:
    house.configure("attic")
    house.core.start_test(ident("attic"), NOW_US + 600 * US_PER_S)
    house.say("attic", smoke_alarm=True)
    assert house.commit() == [("raise", "smoke")]
    assert house.core.siren_orders() == []
    house.reopen()
    house.wait(timedelta(seconds=599))
    house.commit()
    assert [event.alarm["test"] for event in house.events()] == [True]  # type: ignore[index]
    house.wait(timedelta(seconds=2))
    assert house.commit() == [("clear", "smoke"), ("raise", "smoke")]
    assert "test" in house.events()[1].alarm  # type: ignore[operator]
    assert not house.events()[2].alarm.get("test", False)  # type: ignore[union-attr]
    assert house.spool.tests() == {}


def test_before_the_clock_is_set_readings_wait_and_alarms_do_not(house: House) -> None:
    house.synced = False
    house.clock.set_wall(0)
    house.say("attic", smoke_alarm=True)
    assert ("raise", "smoke") in house.commit()
    assert house.spool.undated == 1
    alarm = next(event for event in house.events() if event.alarm)
    assert not alarm.clock_synced


def test_deadlines_that_move_with_every_reading_leave_nothing_behind(house: House) -> None:
    for number in range(2000):
        house.say("attic", co_ppm=number % 7)
        house.clock.advance(timedelta(seconds=10 + number % 3 * 600))
        house.core.tick()
    house.commit()
    assert len(house.core._wakes) <= 6


def test_a_decoder_that_fails_is_counted_and_the_next_message_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = house.core._router.sources[0]
    with monkeypatch.context() as patch:
        patch.setattr(source, "decode", lambda _: 1 / 0)
        house.say("attic", co_ppm=1.0)
    assert house.core.counters["refused"]["decoder_failed"] == 1
    house.say("attic", co_ppm=1.0)
    assert len(house.core.batch.readings) == 1


def test_the_memory_of_duplicates_survives_a_restart(house: House) -> None:
    house.say("attic", time=1_789_999_000, co_ppm=1.0)
    house.commit()
    house.reopen()
    house.say("attic", time=1_789_999_000, co_ppm=1.0)
    house.say("attic", time=1_789_999_000, co_ppm=2.0)
    house.commit()
    house.spool.commit(Batch(), seal=True)
    assert house.spool.queued().readings == 2
    assert house.core.counters["repaired"]["duplicate"] == 1


def test_carbon_monoxide_by_a_clock_that_stands_still_raises_its_alarm_and_is_kept_once(
    house: House,
) -> None:
    house.configure("attic")
    for _ in range(61):
        house.say("attic", time=1_789_999_000, co_ppm=100.0)
        house.wait(timedelta(minutes=1))
    assert ("raise", "co") in house.commit()
    house.spool.commit(Batch(), seal=True)
    assert house.spool.queued().readings == 1
    assert house.core.counters["repaired"]["duplicate"] == 60


def test_flags_that_come_and_go_by_a_clock_that_stands_still_raise_and_clear(house: House) -> None:
    house.configure("attic")
    for _ in range(3):
        house.say("attic", time=1_789_999_000, smoke_alarm=False)
        house.wait(timedelta(hours=1))
        assert ("raise", "smoke") not in house.commit()
        house.say("attic", time=1_789_999_000, smoke_alarm=True)
        assert ("raise", "smoke") in house.commit()
        house.wait(timedelta(minutes=1))
        house.say("attic", time=1_789_999_000, smoke_alarm=False)
        house.wait(timedelta(hours=1))
        assert ("clear", "smoke") in house.commit()
    house.spool.commit(Batch(), seal=True)
    assert house.spool.queued().readings == 2


@pytest.mark.parametrize("redelivered", [True, False])
def test_an_old_message_that_comes_twice_raises_no_alarm_again(house: House, redelivered: bool) -> None:
    house.configure("attic")
    house.say("attic", time=1_789_999_000, smoke_alarm=True)
    house.say("attic", time=1_789_999_005, smoke_alarm=False)
    house.wait(timedelta(minutes=20))
    assert house.commit() == [("raise", "smoke"), ("clear", "smoke")]
    house.say("attic", redelivered=redelivered, time=1_789_999_000, smoke_alarm=True)
    house.wait(timedelta(minutes=20))
    assert house.commit() == []


def test_what_the_broker_delivers_again_is_not_decided_again(house: House) -> None:
    house.configure("attic")
    house.say("attic", time=1_789_999_000, co_ppm=100.0)
    state = house.core.states[ident("attic")]
    house.clock.advance(timedelta(minutes=5))
    house.say("attic", redelivered=True, time=1_789_999_000, co_ppm=100.0)
    assert house.core.states[ident("attic")] is state
    house.say("attic", time=1_789_999_000, co_ppm=100.0)
    assert house.core.states[ident("attic")] is not state


@pytest.mark.parametrize(
    ("qos", "dup", "session_kept", "expected"),
    [
        (1, True, False, True),
        (1, False, True, True),
        (1, False, False, False),
        (0, False, True, False),
    ],
)
def test_a_redelivery_is_known_by_its_mark_or_by_the_session_that_was_kept(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    qos: int,
    dup: bool,
    session_kept: bool,
    expected: bool,
) -> None:
    taken: list[bool] = []

    def take(_: RawMessage, *, redelivered: bool = False) -> None:
        taken.append(redelivered)

    intake = Intake(
        broker=BrokerAddress(host="127.0.0.1"), client_id="agent", core=house.core, spool=house.spool,
        clock=house.clock, committed=lambda _: None, failed=lambda _: None,
    )  # fmt: skip
    monkeypatch.setattr(house.core, "take", take)
    flags = SimpleNamespace(session_present=session_kept)
    intake._handle_connect(None, None, flags, SimpleNamespace(is_failure=False), None)
    intake._hear(b"t", b"{}", b"\0\1" if qos else b"", dup, False)
    intake._close()
    assert taken == [expected]


def test_a_moved_reading_that_comes_again_is_known() -> None:
    recent = Recent()
    first = Reading(detector="d", time_us=10, co_ppm=1.0)
    second = Reading(detector="d", time_us=10, co_ppm=2.0)
    assert recent.admit(first) == first
    moved = recent.admit(second)
    assert moved is not None
    assert moved.time_us == 11
    assert recent.admit(second) is None
    assert recent.admit(first) is None
    assert recent.admit(Reading(detector="e", time_us=10, co_ppm=1.0)) is not None


def test_the_memory_of_duplicates_is_bounded() -> None:
    recent = Recent(generation=100)
    for number in range(1000):
        recent.admit(Reading(detector="d", time_us=number))
    assert len(recent._young) + len(recent._old) <= 200
    assert recent.admit(Reading(detector="d", time_us=950)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"site": "other"}, "other"),
        ({"alarms": {"nonsense": 1}}, "nonsense"),
        ({"alarms": {"deadline_s": -1}}, "deadline_s"),
        ({"outputs": {"sirens": ["a/b"]}}, "a/b"),
        ({"outputs": {"bells": []}}, "bells"),
        ({"version": 0}, "version"),
    ],
)
def test_bad_settings_are_refused_with_the_reason(change: dict[str, Any], said: str) -> None:
    good: dict[str, Any] = {"site": SITE, "version": 1, "v": 1}
    check(json.dumps(good).encode(), SITE)
    with pytest.raises(BadConfig, match=said):
        check(json.dumps(good | change).encode(), SITE)


def send(house: House, topic: str, payload: str, retained: bool = False) -> None:
    house.core.take(RawMessage(topic, payload.encode(), retained, house.clock.now_us()))


def told(house: House) -> list[tuple[str, str]]:
    """Name and word of what was told since the last call."""
    said = [
        (order.topic.split("/")[-2], json.loads(order.payload)) for order in house.core.siren_orders()
    ]
    return [(name, word.get("state") or word["action"]) for name, word in said]


def outfit(house: House, *addresses: str, **outputs: Any) -> None:
    """Settings with outputs."""
    house.configure(*addresses)
    config = check(
        encode(
            Config(
                site=SITE, version=house.config.version + 1, outputs=outputs,
                detectors=list(house.config.detectors.values()),
            )
        ),
        SITE,
    )  # fmt: skip
    house.config = config
    house.core.configure(config)


def test_who_only_shows_that_it_is_there_is_not_told_of_until_it_speaks(house: House) -> None:
    status = detector_topic("attic", "status")
    send(house, status, "online", retained=True)
    send(house, status, "offline")
    assert house.commit() == []
    house.reopen()
    send(house, status, "online")
    house.configure()
    assert house.commit() == []
    house.say("attic", co_ppm=1.0)
    assert house.commit() == [("raise", "device")]
    send(house, detector_topic("cellar", "status"), "online")
    house.say("cellar", model="X1")
    assert house.commit() == [("raise", "device")]


def test_a_detector_is_lost_after_what_its_source_says_unless_somebody_says_otherwise(
    house: House,
) -> None:
    house.configure("attic")
    house.say("attic", co_ppm=1.0)
    house.say("slow", co_ppm=1.0, report_interval_s=7200)
    house.commit()
    house.wait(timedelta(minutes=59))
    assert house.commit() == []
    house.wait(timedelta(minutes=2))
    assert house.commit() == [("raise", "lost")]
    house.wait(5 * HOUR)
    assert house.commit() == [("raise", "lost")]
    house.configure("attic", deadline_s=86_400.0)
    assert ("clear", "lost") in house.commit()


def test_what_a_source_answers_by_itself_is_published(house: House) -> None:
    source = build("sparkplug", SITE)
    house.core._router = Router([source])
    send(house, "spBv1.0/g/NDATA/n", source.example.payload)
    orders = house.core.siren_orders()
    assert [order.topic for order in orders] == ["spBv1.0/g/NCMD/n"]
    assert house.core.siren_orders() == []


def test_a_mute_silences_the_alarms_of_its_moment_and_ends_by_itself(house: House) -> None:
    outfit(house, "attic", sirens=["hall"])
    house.say("attic", smoke_alarm=True, muted=False)
    assert told(house) == [("hall", "on")]
    house.say("attic", smoke_alarm=True, muted=True)
    assert told(house) == [("hall", "off")]
    house.say("attic", smoke_alarm=True, co_alarm=True, muted=True)
    assert told(house) == [("hall", "on")]  # a new alarm of the same muted detector
    house.say("attic", smoke_alarm=True, co_alarm=False, muted=True)
    house.wait(timedelta(minutes=11))
    house.say("attic", smoke_alarm=True, muted=True)
    assert "on" in [word for _, word in told(house)]  # it is muted still: ten minutes are the most


def test_a_muted_detector_that_raises_anew_sounds(house: House) -> None:
    outfit(house, "attic", sirens=["hall"])
    house.say("attic", muted=True)
    told(house)
    house.say("attic", smoke_alarm=True, muted=True)
    assert told(house) == [("hall", "on")]


def test_a_siren_without_an_answer_is_a_trouble_across_a_restart(house: House) -> None:
    outfit(house, "attic", sirens=["hall"])
    told(house)
    house.say("attic", smoke_alarm=True)
    assert told(house) == [("hall", "on")]
    house.commit()
    house.wait(timedelta(seconds=11))
    told(house)
    assert house.commit() == [("raise", "siren_fault")]
    house.reopen()
    told(house)
    send(house, siren_topic("hall", "state"), '{"state":"on"}', retained=True)
    assert house.commit() == []
    send(house, siren_topic("hall", "state"), '{"state":"on"}')
    told(house)
    assert house.commit() == [("clear", "siren_fault")]


def test_a_siren_that_says_nonsense_is_counted_and_one_off_the_list_is_no_trouble(house: House) -> None:
    outfit(house, "attic", sirens=["hall"])
    send(house, siren_topic("hall", "state"), "[1]")
    assert sum(house.core.counters["refused"].values()) == 1
    send(house, siren_topic("hall", "state"), "offline", retained=True)
    told(house)
    assert house.commit() == [("raise", "siren_fault")]
    outfit(house, "attic")
    told(house)
    assert house.commit() == [("clear", "siren_fault")]


def test_the_weekly_test_tries_everything_and_its_noise_is_a_test(house: House) -> None:
    outfit(house, "attic", "cellar", sirens=["hall"], weekly_test="wed 12:00+08:00")
    house.say("cellar", sounder=True, temperature_c=20)
    house.say("attic", temperature_c=20)
    told(house)
    house.commit()
    for _ in range(8 * 24):
        house.wait(HOUR)
        house.say("cellar", temperature_c=20)
        house.say("attic", temperature_c=20)
        words = told(house)
        if words:
            break
    assert sorted(words) == [("cellar", "self_test"), ("hall", "test")]
    house.commit()
    house.say("cellar", smoke_alarm=True)
    send(house, detector_topic("cellar", "answer"), "{}")
    assert told(house) == []  # it is a test: nobody is woken
    house.wait(timedelta(seconds=11))
    told(house)
    assert house.commit() == [("raise", "smoke"), ("raise", "siren_fault"), ("raise", "outputs_tested")]
    note = next(event for event in house.events() if event.note)
    assert note.note_values == {"tested": 2, "failed": [detector_id(SITE, "siren", "hall")]}


def test_no_weekly_test_while_the_clock_is_unset(house: House) -> None:
    outfit(house, sirens=["hall"])
    told(house)
    house.synced = False
    house.wait(timedelta(days=8))
    assert told(house) == []


def obey(house: House, action: Any, target: str, **arguments: Any) -> tuple[bool, str, list[Order]]:
    sent: list[Order] = []
    orders = Orders(
        SITE, house.core, synced=lambda: house.synced, wall_us=house.clock.now_us, send=sent.append
    )
    now_us = house.clock.now_us()
    command = Command(
        site=SITE, id=new_id(), issued_us=now_us, expires_us=now_us + 60 * US_PER_S, action=action,
        target=target, arguments=arguments,
    )  # fmt: skip
    result = orders.obey(encode(command))
    assert result is not None
    return result.ok, result.detail, sent


def test_a_command_silences_sirens_and_the_detector_for_a_bounded_time(house: House) -> None:
    outfit(house, "attic", sirens=["hall"])
    house.say("attic", smoke_alarm=True)
    told(house)
    ok, detail, sent = obey(house, "silence", ident("attic"), for_s=86_400)
    assert (ok, detail) == (True, "1 silenced for 600 s, 1 detectors told")
    assert [json.loads(order.payload)["action"] for order in sent] == ["silence"]
    assert told(house) == [("hall", "off")]
    assert not obey(house, "silence", ident("attic"), for_s=-1)[0]
    assert not obey(house, "silence", ident("attic"), for_s="long")[0]
    house.wait(timedelta(seconds=601))
    assert ("hall", "on") in told(house)


def test_a_silenced_alarm_stays_silent_over_a_restart_and_no_longer_than_it_would(house: House) -> None:
    outfit(house, "attic", "hall", sirens=["hall"])
    house.say("attic", smoke_alarm=True)
    told(house)
    obey(house, "silence", ident("attic"), for_s=300)
    assert told(house) == [("hall", "off")]
    house.commit()
    house.clock.advance(timedelta(seconds=100))
    house.reopen()
    assert ("hall", "on") not in told(house)
    house.wait(timedelta(seconds=190))
    assert ("hall", "on") not in told(house)
    house.wait(timedelta(seconds=20))
    assert ("hall", "on") in told(house)
    house.commit()
    assert house.spool.silenced() == {}


def test_a_new_alarm_after_the_restart_sounds_although_another_is_silenced(house: House) -> None:
    outfit(house, "attic", "cellar", sirens=["hall"])
    house.say("attic", smoke_alarm=True)
    told(house)
    obey(house, "silence", ident("attic"))
    told(house)
    house.commit()
    house.reopen()
    told(house)
    house.say("cellar", smoke_alarm=True)
    assert ("hall", "on") in told(house)


def test_outputs_are_tried_on_demand_and_a_detector_by_its_own_protocol(house: House) -> None:
    outfit(house, "attic", sirens=["hall"])
    told(house)
    assert obey(house, "self_test", "outputs")[:2] == (True, "1 outputs are tried")
    assert told(house) == [("hall", "test")]
    ok, _, sent = obey(house, "self_test", ident("attic"))
    assert ok
    assert json.loads(sent[0].payload)["action"] == "self_test"
    assert obey(house, "self_test", "nobody")[:2] == (False, "no such detector at this site")
    house.synced = False
    assert not obey(house, "self_test", "outputs")[0]


def test_what_the_city_is_told_of_a_new_detector_holds_a_proposed_profile(house: House) -> None:
    house.say("attic", co_ppm=1.0, smoke_alarm=False, model="X1", report_interval_s=3600)
    house.commit()
    [event] = house.events()
    device = event.device
    assert isinstance(device, dict)
    assert device["senses"] == ["smoke_alarm", "co_ppm"]
    assert device["proposed_deadline_s"] == 3 * 3600
    assert device["model"] == "X1"
