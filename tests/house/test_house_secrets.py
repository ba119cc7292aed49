"""Secrets are compared in constant time, wherever they are compared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: A name that holds a secret, or a proof made of one.
SECRET = ("token", "csrf", "secret", "password", "signature", "mac_of", "hmac")


def _compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            for side in (node.left, *node.comparators):
                name = getattr(side, "id", None) or getattr(side, "attr", "")
                others = [one for one in (node.left, *node.comparators) if one is not side]
                if any(isinstance(one, ast.Constant) for one in others):
                    continue  # with a word of the program: empty or not
                if any(word == name or name.endswith(f"_{word}") for word in SECRET):
                    yield node.lineno, name


def test_no_secret_is_compared_letter_by_letter() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for room in ("gateway", "registry", "alerts", "edge")
        for path in (ROOT / room).rglob("*.py")
        for line, name in _compared(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_the_rule_finds_what_it_is_for() -> None:
    tree = ast.parse("if sent_token == known.csrf:\n    pass")
    assert {name for _, name in _compared(tree)} == {"sent_token", "csrf"}
