"""Alembic's way in: it runs on the connection that ``gateway.schema`` hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

import alerts.models  # noqa: F401  # its tables belong to the metadata
import gateway.models  # noqa: F401
import registry.models  # noqa: F401
from registry.db import Base
from registry.sealed import SealedText


def _render(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """A sealed column is bytes to a migration, which must not depend on our classes."""
    return "sa.LargeBinary()" if kind == "type" and isinstance(item, SealedText) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=_render,
)
# a downgrade would lose what newer tables hold, so there is none, whichever revision is asked for
if getattr(context.get_context().opts.get("fn"), "__name__", "") == "downgrade":
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
with context.begin_transaction():
    context.run_migrations()
