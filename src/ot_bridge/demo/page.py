"""The page of `ot-bridge view` for a shop that stays open; what it shows is gone when the shop closes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from starlette.types import ASGIApp

from ot_bridge.traces.page.app import page_app
from ot_bridge.traces.page.site import PageInfo
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.ports import Listening
from ot_bridge.traces.receive.servers import Page
from ot_bridge.traces.store.store import Store
from ot_bridge.traces.store.writer import Writer

__all__ = ["page"]


@contextlib.contextmanager
def page() -> Iterator[tuple[Inbox, Page]]:
    """Make an inbox whose spans are kept for the length of the block, and the page that shows them."""
    with tempfile.TemporaryDirectory(prefix="ot-bridge-") as directory:
        store = Store.open(Path(directory) / "traces.db")
        writer = Writer(store)

        def shown(_: Sequence[Listening]) -> ASGIApp:
            return page_app(store, Counts(), PageInfo())

        try:
            yield writer, shown
        finally:
            writer.close()
            store.close()
