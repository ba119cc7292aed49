"""What a specification holds: kinds, the requirements a draft begins with, the hash of the whole.

The requirements are read from ``registry/data/requirements.toml``: facts with their source, and
starting points of ours without one. All of them can be edited in the draft.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final, Literal, get_args

from registry.specifications.models import Specification, SpecificationAttachment

Kind = Literal["camera", "fibre", "network", "server", "system"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: Requirements of one specification; a longer list is a second document.
MAX_REQUIREMENTS: Final = 200
_HASHED: Final = (
    "number", "kind", "title", "purpose", "requirements", "budget_mnt", "funding_source",
    "organisation_id", "unit_code",
)  # fmt: skip


@lru_cache(maxsize=1)
def _templates() -> dict[str, list[dict[str, str]]]:
    text = (resources.files("registry") / "data" / "requirements.toml").read_text(encoding="utf-8")
    document: dict[str, list[dict[str, str]]] = tomllib.loads(text)
    return document


def template(kind: str) -> list[dict[str, str]]:
    """The requirements a draft of this kind begins with: ``heading``, ``text``, ``source``."""
    return [
        {"heading": row["heading"], "text": row["text"], "source": row.get("source", "")}
        for row in [*_templates()[kind], *_templates()["every"]]
    ]


def content_hash(row: Specification, attachments: Sequence[SpecificationAttachment]) -> str:
    """SHA-256 over what is approved: every field of the document and its files by their own hash."""
    content: dict[str, Any] = {name: getattr(row, name) for name in _HASHED}
    content["deliver_by"] = str(row.deliver_by or "")
    content["attachments"] = sorted([file.name, file.sha256] for file in attachments)
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
