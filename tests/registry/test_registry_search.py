"""Found in any spelling, sorted by the alphabet, inside a polygon; pairs that look like one."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from registry.acts import Act
from registry.cameras.models import Camera
from registry.db import Database
from registry.duplicates.likeness import NEAR_DEG, NEAR_M, near_pairs
from registry.duplicates.worklist import pairs, say_two
from registry.models import Organisation
from registry.rights import CONSOLE, Actor, Grant, Reach
from registry.search.find import box_of, in_polygon, matching, polygon_of, search
from registry.search.text import ALPHABET, entries_of, folded, mongolian, sort_key
from registry.search.views import forget, keep, view, views_of
from registry.sites import NoSuch

CAMERAS = [
    ("KH-0007", "Өргөө хүнсний дэлгүүр", "02:00:aa:bb:cc:01", "10.20.30.40", 47.90, 106.90),
    ("KH-0012", "Үйлдвэрийн уулзвар", "02:00:aa:bb:cc:02", "10.20.30.41", 47.91, 106.91),
    ("KH-0100", "Найрамдал цэцэрлэг", "02:00:aa:bb:cc:03", "10.20.31.40", 47.95, 106.99),
]
QUESTIONS = [
    ("Өргөө", 0), ("өргөө", 0), ("ОРГОО", 0), ("єргєє", 0), ("Opгoo", 0), ("хунс", 0), ("ХҮНСНИЙ", 0),
    ("дэлгүүр өргөө", 0), ("vйлдвэр", 1), ("YЙЛДВЭР", 1), ("уулзвар үйлдв", 1), ("найрамдл", 2),
    ("нарамдал", 2), ("цэцэрлгэ", 2), ("KH-0007", 0), ("кн-0012", 1), ("kh0100", 2), ("KH 0012", 1),
    ("02:00:aa:bb:cc:03", 2), ("0200AABBCC02", 1), ("10.20.30.40", 0), ("10.20.31", 2),
]  # fmt: skip


@pytest.fixture
async def cameras(database: Database) -> None:
    async with database.write() as session:
        for index, (number, name, mac, ip, lat, lon) in enumerate(CAMERAS):
            session.add(
                Camera(id=f"c{index}", number=number, name=name, mac=mac, ip=ip, lat=lat, lon=lon,
                       unit_code="1116" if index else "1107", privacy_masks=[], created_us=0)
            )  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), QUESTIONS)
async def test_a_camera_is_found_however_it_is_spelt(database, cameras, words, expected) -> None:
    async with database.read() as session:
        hits = await search(session, CONSOLE, words, kinds=["camera"])
    assert [hit.id for hit in hits] == [f"c{expected}"]


@pytest.mark.parametrize(
    "words", ["", "  ", "!?", "дархан", "өргөө найрамдал", "дэлгүүрийнхэн", "%", "_"]
)
async def test_what_is_not_there_is_not_found(database, cameras, words) -> None:
    async with database.read() as session:
        assert await search(session, CONSOLE, words) == []


async def test_search_stays_inside_the_askers_reach(database, cameras) -> None:
    bounded = Actor("p", "staff", (Grant("registrar", unit_code="1116"),))
    async with database.read() as session:
        assert [hit.id for hit in await search(session, bounded, "камер KH")] == []
        assert [hit.id for hit in await search(session, bounded, "KH")] == ["c1", "c2"]
        with pytest.raises(ValueError, match="'ship' is not searched"):
            await search(session, CONSOLE, "a", kinds=["ship"])


async def test_what_is_renamed_or_removed_is_found_no_longer(database, cameras) -> None:
    async with database.write() as session:
        camera = await session.get(Camera, "c0")
        camera.name = "Төв талбай"
        (await session.get(Camera, "c1")).gone_us = 5
    async with database.read() as session:
        assert await search(session, CONSOLE, "өргөө") == []
        assert [hit.id for hit in await search(session, CONSOLE, "талбай")] == ["c0"]
        assert await search(session, CONSOLE, "үйлдвэр") == []


async def test_a_polygon_holds_what_lies_in_it(database, cameras) -> None:
    triangle = polygon_of("106.89 47.89,106.92 47.89,106.89 47.93")
    async with database.read() as session:
        found = await session.scalars(
            select(Camera.id).where(*await in_polygon(session, Camera, triangle)).order_by(Camera.id)
        )
        assert list(found) == ["c0"]
        everything = await matching(session, Camera, "kh")
        assert len(list(await session.scalars(select(Camera.id).where(*everything)))) == 3


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "5,1,4,2", "nan,0,1,1", "0,-91,1,1"])
def test_a_box_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="west,south,east,north"):
        box_of(text)


@pytest.mark.parametrize("text", ["1 2,3 4", "a", "0 0,1 1,0 1,1 0", "0 0,inf 0,0 1", "0 0 0,1 1,2 2"])
def test_a_polygon_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        polygon_of(text)


def test_the_alphabet_has_its_35_letters_and_sorts_by_them() -> None:
    assert len(ALPHABET) == 35
    words = [
        "Өвөр",
        "Оюу",
        "Пүрэв",
        "Үер",
        "Уул",
        "Фонд",
        "Ёл",
        "Ерөө",
        "Жаргал",
        "Камер 2",
        "Камер 10",
    ]
    assert sorted(words, key=sort_key) == [
        "Ерөө", "Ёл", "Жаргал", "Камер 2", "Камер 10", "Оюу", "Өвөр", "Пүрэв", "Уул", "Үер", "Фонд",
    ]  # fmt: skip


@given(st.text(max_size=60))
def test_a_sort_key_is_of_letters_every_collation_sorts_alike(text: str) -> None:
    key = sort_key(text)
    assert key == "" or (key.isascii() and key.isalnum() and key == key.lower())
    assert len(key) <= 500


@given(st.lists(st.text(alphabet=ALPHABET + ALPHABET.upper() + " ", max_size=12), max_size=8))
def test_keys_sort_as_the_alphabet_does(words: list[str]) -> None:
    def by_alphabet(word: str) -> list[int]:
        return [ALPHABET.find(letter) for letter in word.strip().lower()]

    for first in words:
        for second in words:
            if "  " not in first + second:
                assert (sort_key(first) < sort_key(second)) == (
                    by_alphabet(first) < by_alphabet(second)
                )


@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert mongolian(mongolian(text)) == mongolian(text)


_point = st.tuples(
    st.floats(47.9, 47.9002), st.floats(106.9, 106.9003), st.one_of(st.none(), st.floats(0, 359.9))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_point, max_size=12))
@example([(47.90005123, 106.90002609, None), (47.90007698, 106.90002832, None)])
def test_near_pairs_are_those_of_the_slow_way(points) -> None:
    poses = [(str(index), *point) for index, point in enumerate(points)]
    found = {frozenset(pair) for pair in near_pairs(poses)}
    slow = set()
    for at, first in enumerate(poses):
        for second in poses[at + 1 :]:
            north = (first[1] - second[1]) * 111_320
            east = (first[2] - second[2]) * 111_320 * math.cos(math.radians(second[1]))
            turn = 0 if None in (first[3], second[3]) else abs(first[3] - second[3]) % 360
            away = math.hypot(north, east)
            if abs(away - NEAR_M) < 0.01:
                return
            if away <= NEAR_M and min(turn, 360 - turn) <= NEAR_DEG:
                slow.add(frozenset((first[0], second[0])))
    assert found == slow


async def test_the_worklist_shows_pairs_until_somebody_says_that_they_are_two(database) -> None:
    async with database.write() as session:
        for own_id, lat, azimuth in (("a", 47.9, 10.0), ("b", 47.90001, 20.0), ("c", 47.90001, 200.0)):
            session.add(Camera(id=own_id, number=own_id, lat=lat, lon=106.9, azimuth_deg=azimuth,
                               privacy_masks=[], created_us=0))  # fmt: skip
        session.add(Organisation(id="o1", name="Дархан 1-р сургууль"))
        session.add(Organisation(id="o2", name="Дархан 1-р cургуулъ"))
        session.add(Organisation(id="o3", name="Дархан 2-р сургууль"))
    everywhere = Reach(everywhere=True)
    async with database.read() as session:
        (near,) = await pairs(session, "camera", everywhere, limit=9)
        assert (near.first_id, near.second_id, near.why) == ("a", "b", "near")
        (alike,) = await pairs(session, "organisation", everywhere, limit=9)
        assert (alike.first_id, alike.second_id, alike.why) == ("o1", "o2", "alike")
        assert await pairs(session, "camera", Reach(False, ("1116",)), limit=9) == []
    async with database.write() as session:
        act = Act(CONSOLE, 5, "console", "two poles")
        for _ in range(2):
            await say_two(session, act, "camera", "b", "a")
        assert await pairs(session, "camera", everywhere, limit=9) == []
        with pytest.raises(NoSuch):
            await say_two(session, act, "camera", "a", "a")


async def test_a_saved_list_is_its_owners_and_a_shared_one_everybodys(database) -> None:
    mine, other = Actor("p1", "staff"), Actor("p2", "staff")
    async with database.write() as session:
        kept = await keep(
            session, mine, "Эвдэрсэн", "cameras", {"state": "faulty"}, shared=False, now_us=1
        )
        again = await keep(
            session, mine, "Эвдэрсэн", "cameras", {"state": "active"}, shared=False, now_us=2
        )
        assert kept.id == again.id and len(await views_of(session, mine)) == 1
        with pytest.raises(NoSuch):
            await view(session, other, kept.id)
        await keep(session, mine, "Эвдэрсэн", "cameras", {"state": "active"}, shared=True, now_us=3)
        assert (await view(session, other, kept.id)).filters == {"state": "active"}
        with pytest.raises(NoSuch):
            await forget(session, other, kept.id)
        await forget(session, mine, kept.id)
        assert await views_of(session, mine) == []


def test_a_record_without_a_single_word_is_indexed_by_none() -> None:
    assert entries_of("") == []
    assert entries_of("аргоо ар") == ["аргоо"]
