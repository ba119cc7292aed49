"""Texts: complete in both languages, plain, short, and with nothing raw in them."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.policy import HAZARD_OF, MessageKind
from alerts.texts import LANGUAGES, SHORT_LIMIT, Catalogues, Facts, compose, load_catalogues
from alerts.texts.compose import Trouble, local_time
from edge.wire.messages import CLASS_OF
from tests.alerts.city import NIGHT_US

KINDS: tuple[str, ...] = get_args(MessageKind)
LONG = "Сонгинохайрхан дүүрэг, 24-р хороо, Толгойтын 12-р гудамж, 45 тоот, цэнхэр хашаа"
CASES = [(language, kind) for language in LANGUAGES for kind in KINDS]


@pytest.fixture(scope="module")
def catalogues() -> Catalogues:
    return load_catalogues()


def facts(kind: str, **fields: object) -> Facts:
    hazard = kind if kind in ("fire", "co", "exposure", "trouble", "site", "test") else "fire"
    troubles = (Trouble("low_battery", "унтлагын өрөө"),) if kind == "trouble" else ()
    given = {"message": kind, "hazard": hazard, "since_us": NIGHT_US, "where": "Толгойт 12"}
    return Facts(**(given | {"troubles": troubles} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(("language", "kind"), CASES)
def test_every_message_says_what_where_since_when_what_to_do_and_whom_to_call(
    catalogues: Catalogues, language: str, kind: str
) -> None:
    catalogue = catalogues.get(language)
    text = compose(catalogue, facts(kind, acknowledge_link="https://utaa.example/a/x"))
    assert catalogue.raw(f"{kind}.headline") in text.subject
    number = "103" if kind == "exposure" else "101"
    for words in ("Толгойт 12", "2026-01-31 03:12", number, "https://utaa.example/a/x"):
        assert words in text.body
    assert catalogue.raw(f"{kind}.do") in text.body
    assert not re.search(r"[{}]", text.subject + text.body + text.short)


@pytest.mark.parametrize(("language", "kind"), CASES)
@pytest.mark.parametrize("where", ["", "Толгойт 12", LONG, "x" * 500, "a\nb"])
def test_the_short_form_is_one_sms_and_no_instruction_is_cut(
    catalogues: Catalogues, language: str, kind: str, where: str
) -> None:
    text = compose(catalogues.get(language), facts(kind, where=where))
    assert len(text.short) <= SHORT_LIMIT
    head, tail = catalogues.get(language).raw(f"{kind}.short").split("{where}")
    assert text.short.startswith(head)
    assert text.short.endswith(tail)
    assert "\n" not in text.short + text.subject
    assert len(text.subject) <= 120


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_short_forms_leave_room_for_an_address(catalogues: Catalogues, language: str) -> None:
    for kind in KINDS:
        fixed = catalogues.get(language).raw(f"{kind}.short").replace("{where}", "")
        assert SHORT_LIMIT - len(fixed) >= 10, (kind, fixed)


def test_fire_and_co_say_101_and_get_out_in_one_sms(catalogues: Catalogues) -> None:
    for kind in ("fire", "co"):
        text = compose(catalogues.get("mn"), facts(kind, where=LONG))
        assert "101" in text.short
        assert "гар" in text.short


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_trouble_and_every_hazard_has_its_words(
    catalogues: Catalogues, language: str
) -> None:
    keys = catalogues.get(language).keys()
    for kind, alarm_class in CLASS_OF.items():
        if alarm_class == "trouble":
            assert f"kind.{kind}" in keys
    for hazard in set(HAZARD_OF.values()) | {"site"}:
        assert f"hazard.{hazard}" in keys


def test_a_test_is_unmistakable_and_a_repetition_says_so(catalogues: Catalogues) -> None:
    assert compose(catalogues.get("mn"), facts("test")).subject.startswith("ТУРШИЛТ")
    assert compose(catalogues.get("en"), facts("fire", again=True)).subject.startswith("AGAIN: FIRE!")


def test_another_language_falls_back_to_mongolian(catalogues: Catalogues) -> None:
    assert catalogues.get("kk").language == "mn"


def test_the_facts_do_not_show_the_address() -> None:
    assert "Толгойт" not in repr(facts("fire"))


def test_no_latin_letter_hides_in_the_mongolian_texts(catalogues: Catalogues) -> None:
    catalogue = catalogues.get("mn")
    for key in catalogue.keys():  # noqa: SIM118  # a catalogue is no mapping
        without_names = re.sub(r"\{\w+\}", "", catalogue.raw(key))
        assert not re.search(r"[A-Za-z]", without_names), key


@given(where=st.text(max_size=300), place=st.text(max_size=50))
def test_no_address_breaks_a_message(where: str, place: str) -> None:
    catalogue = load_catalogues().get("mn") if not _cache else _cache[0]
    _cache[:] = [catalogue]
    text = compose(catalogue, facts("fire", where=where, place=place))
    assert len(text.short) <= SHORT_LIMIT


_cache: list = []  # type: ignore[type-arg]


def test_local_time_is_that_of_ulaanbaatar() -> None:
    assert local_time(0) == "1970-01-01 08:00"
