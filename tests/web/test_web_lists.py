"""Every list of the pages is declared once, and has all its states in the gallery."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.web.gallery import gallery
from gateway.web.kept import MAX_KEPT, Kept
from gateway.web.listing import LISTS, STATES
from gateway.web.words import LANGUAGES, words_for
from tests.web.conftest import LOCALE, NOW_US
from utaa.cli import build

TEMPLATES = LOCALE.parent / "templates"
#: What a list of records is drawn with. Bare ``<ol>`` and ``<ul>`` are steps, hints and choices.
_DRAWN = re.compile(
    r'<tbody>\s*{%|<(?:ul|ol)[^>]* class="(?:lines|cards|cases|words|told|ways|timeline)'
)
#: What is repeated but is no list of records: it is never empty, and is of one thing that is shown.
_NO_LISTS = {
    "parts.html": "the macros themselves",
    "officer/reports.html": "sums of a report, always there",
    "refused.html": "the fields of one conflict",
    "account.html": "one's own sessions: the one that looks is always there",
}


@lru_cache
def _page(language: str) -> str:
    return gallery(language, NOW_US)


def _articles(language: str) -> dict[tuple[str, str], str]:
    found = re.findall(
        r'<article data-list-of="([^"]+)" data-state="([^"]+)">(.*?)</article>', _page(language), re.S
    )
    return {(name, state): body for name, state, body in found}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", STATES)
def test_every_list_has_the_state_in_the_gallery(state: str, language: str) -> None:
    words, articles = words_for(language), _articles(language)
    assert len(articles) == len(LISTS) * len(STATES)
    for name, listed in LISTS.items():
        said = {
            "empty": words(listed.empty),
            "loading": words("Loading"),
            "failed": words("This could not be shown."),
            "no_permission": words("You have no right to see this."),
            "too_many": words.number(1234, 0),
            "stale": words("Not live: as of {time}.", time=words.moment(NOW_US, NOW_US)),
        }[state]
        body = articles[name, state].replace("&#39;", "'")
        assert said in body, (name, state)
        assert f'data-list="{name}"' in body, (name, state)


def test_the_pages_show_each_declared_list_and_no_other() -> None:
    shown: set[str] = set()
    for template in TEMPLATES.rglob("*.html"):
        if template.name not in ("parts.html", "gallery.html"):
            shown |= set(re.findall(r'call listed\("([^"]+)"', template.read_text()))
    assert shown == set(LISTS)


def test_nothing_that_looks_like_a_list_is_drawn_outside_a_declared_one() -> None:
    bare = []
    for template in sorted(TEMPLATES.rglob("*.html")):
        name = template.relative_to(TEMPLATES).as_posix()
        if name not in _NO_LISTS:
            bare += [f"{name}: {one}" for one in _bare(template)]
    assert not bare


def _bare(template: Path) -> list[str]:
    """What is drawn like a list outside ``call listed``; a macro is drawn where it is called."""
    text = re.sub(r"{%-? *macro .*?endmacro *-?%}", "", template.read_text(), flags=re.S)
    depth, found = [], []
    for token in re.finditer(r"{%-? *call (\w+)|{%-? *endcall|" + _DRAWN.pattern, text):
        if token[1]:
            depth.append(token[1])
        elif "endcall" in token[0]:
            depth.pop()
        elif "listed" not in depth:
            found.append(text[token.start() : token.start() + 80])
    return found


def test_the_gallery_is_written_by_a_command_and_opens_by_itself(tmp_path: Path) -> None:
    goal = tmp_path / "new" / "gallery.html"
    ran = CliRunner().invoke(build(["gallery"]), ["gallery", "--to", str(goal), "--language", "en"])
    assert ran.exit_code == 0, ran.output
    page = goal.read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert "--alarm:" in page and "/static/" not in page
    wrong = CliRunner().invoke(build(["gallery"]), ["gallery", "--language", "de"])
    assert wrong.exit_code == 2


async def test_an_answer_is_kept_for_its_life_and_made_once_for_all_who_wait() -> None:
    now_s, made = [0.0], []
    kept = Kept(lambda: now_s[0])

    async def make() -> int:
        made.append(1)
        return len(made)

    assert await asyncio.gather(*(kept.get("a", 5.0, make) for _ in range(5))) == [1] * 5
    now_s[0] = 4.9
    assert await kept.get("a", 5.0, make) == 1
    now_s[0] = 5.0
    assert await kept.get("a", 5.0, make) == 2
    for number in range(MAX_KEPT + 1):
        await kept.get(number, 5.0, make)
    assert len(kept._known) <= MAX_KEPT


async def test_what_fails_is_kept_by_nobody() -> None:
    kept = Kept()

    async def fails() -> int:
        raise OSError

    async def works() -> int:
        return 1

    with pytest.raises(OSError):
        await kept.get("a", 5.0, fails)
    assert await kept.get("a", 5.0, works) == 1
