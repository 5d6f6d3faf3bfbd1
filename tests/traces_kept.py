"""A store of plain lists for tests of the page, and ways to ask the page: in process, or by a real server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ot_bridge.traces.analyse.entry import Entry
from ot_bridge.traces.fleet.rates import entries_of
from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.page.app import PageInfo, page_app
from ot_bridge.traces.receive.inbox import Counts
from ot_bridge.traces.store.query import Found, Query, Summary
from ot_bridge.traces.tree import Trace

__all__ = ["Answer", "ListStore", "ask", "serving"]


class ListStore:
    """Keeps traces in memory, and answers what the page asks; tags are not searched."""

    def __init__(self, *traces: Iterable[Span]) -> None:
        self._traces: dict[int, Trace] = {}
        self._version = 0
        self.asked: list[Query] = []
        for spans in traces:
            self.put(spans)

    def put(self, spans: Iterable[Span], logs: Sequence[LogRecord] = ()) -> None:
        found = Trace(spans, logs)
        self._traces[found.trace_id] = found
        self._version += 1

    def trace(self, trace_id: int) -> Trace | None:
        return self._traces.get(trace_id)

    def ids(self, prefix: str) -> list[int]:
        forms = {one: (f"{one:032x}", f"{one:016x}", f"{one:032x}"[16:]) for one in self._traces}
        return [one for one, names in forms.items() if any(name.startswith(prefix) for name in names)]

    def raw(self, trace_id: int) -> list[Any]:
        return []

    def search(self, query: Query) -> Found:
        self.asked.append(query)
        found = [row for one in self._traces.values() if _holds(row := _summary(one), query)]
        found.sort(key=lambda row: -row.duration_ns if query.order == "longest" else -row.start_ns)
        return Found(found[query.offset : query.offset + query.limit], len(found))

    def traces(self, query: Query) -> Iterator[Trace]:
        return (self._traces[row.trace_id] for row in self.search(query).traces)

    def entries(
        self, *, service: str = "", from_ns: int | None = None, to_ns: int | None = None, limit: int = 200_000
    ) -> list[Entry]:
        found = [
            one
            for one in entries_of(self._traces.values())
            if (not service or one.service == service)
            and (from_ns is None or one.start_ns >= from_ns)
            and (to_ns is None or one.start_ns < to_ns)
        ]
        return sorted(found, key=lambda one: -one.start_ns)[:limit]

    def scatter(self, query: Query) -> list[Summary]:
        return [row for one in self._traces.values() if _holds(row := _summary(one), query)]

    def services(self) -> list[str]:
        return sorted({span.service for one in self._traces.values() for span in one.spans})

    def operations(self, service: str) -> list[str]:
        return sorted({span.name for one in self._traces.values() for span in one.spans if span.service == service})

    def version(self) -> int:
        return self._version


def _summary(found: Trace) -> Summary:
    root, services = found.spans[found.root], dict[str, int]()
    for span in found.spans:
        services[span.service] = services.get(span.service, 0) + 1
    errors = sum(span.status == "error" for span in found.spans)
    return Summary(
        found.trace_id, root.service, root.name, found.start_ns, found.duration_ns, len(found), errors, services, 0
    )


def _holds(row: Summary, query: Query) -> bool:
    return (
        (not query.service or query.service in row.services)
        and (query.min_ns is None or row.duration_ns >= query.min_ns)
        and (query.max_ns is None or row.duration_ns <= query.max_ns)
        and (query.errors is None or bool(row.errors) == query.errors)
        and (query.from_ns is None or row.start_ns >= query.from_ns)
        and (query.to_ns is None or row.start_ns < query.to_ns)
    )


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str


def ask(app: Any, path: str, method: str = "GET") -> Answer:
    """Ask an ASGI application without a server."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    name, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": name,
        "raw_path": name.encode(),
        "query_string": query.partition("#")[0].encode(),
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], headers, body.decode())


@contextmanager
def serving(store: ListStore, info: PageInfo | None = None) -> Iterator[str]:
    """Serve the page on a free port of the loopback; gives its address."""
    import uvicorn

    app = page_app(store, Counts(), info or PageInfo())
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
