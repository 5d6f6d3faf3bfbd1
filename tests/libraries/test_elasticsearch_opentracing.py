"""elasticsearch-opentracing with the client of Elasticsearch 5, the last that it fits, and a server that answers it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

from compat.cells import cell, limited
from compat.shapes import shape, shapes
from libraries.requirements import excludes_installed, needs
from ot_bridge import BridgeTracer

needs("elasticsearch<6", "elasticsearch-opentracing")
elasticsearch = pytest.importorskip("elasticsearch")
elasticsearch_opentracing = pytest.importorskip("elasticsearch_opentracing")

pytestmark = cell(
    "libraries",
    "elasticsearch-opentracing",
    "elasticsearch 5",
    packages=("elasticsearch-opentracing", "elasticsearch", "opentracing"),
    counterpart="an HTTP server that answers as Elasticsearch does (it is in no registry)",
)


class Handler(BaseHTTPRequestHandler):
    """The few requests of these tests, over documents in memory, with the answers of Elasticsearch 5."""

    protocol_version = "HTTP/1.1"
    documents: dict[str, Any]

    def _document(self) -> tuple[int, dict[str, Any]]:
        path = self.path.split("?")[0]
        index, kind, name = path.strip("/").split("/")
        about = {"_index": index, "_type": kind, "_id": name}
        if self.command == "PUT":
            self.documents[path] = json.loads(self.rfile.read(int(self.headers["content-length"])))
            return 201, {**about, "_version": 1, "result": "created", "created": True}
        if path not in self.documents:
            return 404, {**about, "found": False}
        return 200, {**about, "_version": 1, "found": True, "_source": self.documents[path]}

    def _search(self) -> tuple[int, dict[str, Any]]:
        query = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "match_all" not in query["query"]:
            reason = {"type": "parsing_exception", "reason": "no [query] registered"}
            return 400, {"error": {"root_cause": [reason], **reason}, "status": 400}
        hits = [{"_source": source} for source in self.documents.values()]
        return 200, {"took": 3, "timed_out": False, "hits": {"total": len(hits), "hits": hits}}

    def _answer(self) -> None:
        status, answer = self._search() if "_search" in self.path else self._document()
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": f"{len(body)}"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = _answer  # noqa: N815 - http.server calls them so

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where the server listens."""
    handler = type("Handler", (Handler,), {"documents": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def connected(port: int) -> Iterator[Any]:
    """Give a client whose transport is traced."""
    transport = elasticsearch_opentracing.TracingTransport
    client = elasticsearch.Elasticsearch([{"host": "127.0.0.1", "port": port}], transport_class=transport)
    try:
        yield client
    finally:
        for connection in client.transport.connection_pool.connections:
            connection.pool.close()
        elasticsearch_opentracing._clear_tracing_state()


@pytest.fixture
def client(port: int, tracer: BridgeTracer) -> Iterator[Any]:
    """A client of which all requests are traced."""
    elasticsearch_opentracing.init_tracing(tracer)
    with connected(port) as client:
        yield client


def request(url: str, method: str, **more: Any) -> dict[str, Any]:
    """Return the whole span of a request."""
    own = {
        "component": "elasticsearch-py",
        "db.type": "elasticsearch",
        "elasticsearch.url": url,
        "elasticsearch.method": method,
    }
    attributes = {**own, **more.pop("attributes", {})}
    return shape(f"Elasticsearch{url}", attributes=attributes, **more)


def test_requests_are_client_spans_below_the_active_span(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request"):
        client.index("tweets", "tweet", {"user": "ann"}, id=1, params={"refresh": "true"})
        assert client.get("tweets", 1, doc_type="tweet")["_source"] == {"user": "ann"}
        assert client.search("tweets", body={"query": {"match_all": {}}})["hits"]["total"] == 1
    assert shapes(exporter.get_finished_spans()) == [
        request(
            "/tweets/tweet/1",
            "PUT",
            parent="request",
            attributes={"db.statement": '{"user": "ann"}', "elasticsearch.params": '{"refresh": "true"}'},
        ),
        request("/tweets/tweet/1", "GET", parent="request", attributes={"elasticsearch.found": "True"}),
        request(
            "/tweets/_search",
            "GET",
            parent="request",
            attributes={
                "db.statement": '{"query": {"match_all": {}}}',
                "elasticsearch.took": "3",
                "elasticsearch.timed_out": "False",
            },
        ),
        shape("request", kind="INTERNAL"),
    ]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        pytest.param(lambda client: client.get("tweets", 9, doc_type="tweet"), 404, id="missing"),
        pytest.param(lambda client: client.search("tweets", body={"query": {"x": {}}}), 400, id="refused"),
    ],
)
def test_failed_request_is_an_error(client: Any, exporter: InMemorySpanExporter, ask: Any, status: int) -> None:
    with pytest.raises(elasticsearch.TransportError) as caught:
        ask(client)
    assert caught.value.status_code == status
    (found,) = shapes(exporter.get_finished_spans())
    assert found["status"] == {"code": "ERROR", "description": ""}
    assert found["attributes"]["error.object"] == str(caught.value)


def test_span_that_was_set_is_the_parent(client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_span("job")
    elasticsearch_opentracing.set_active_span(parent)
    client.search("tweets", body={"query": {"match_all": {}}})
    elasticsearch_opentracing.clear_active_span()
    client.search("tweets", body={"query": {"match_all": {}}})
    parent.finish()
    assert [span["parent"] for span in shapes(exporter.get_finished_spans())] == ["job", None, None]


def test_only_what_was_enabled_is_traced(port: int, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    elasticsearch_opentracing.init_tracing(tracer, trace_all_requests=False, prefix=None)
    with connected(port) as client:
        client.search("first", body={"query": {"match_all": {}}})
        elasticsearch_opentracing.enable_tracing()
        client.search("second", body={"query": {"match_all": {}}})
        elasticsearch_opentracing.disable_tracing()
        client.search("third", body={"query": {"match_all": {}}})
    assert [span.name for span in exporter.get_finished_spans()] == ["/second/_search"]


def test_threads_that_share_a_client_do_not_mix(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    def ask(number: int) -> None:
        with tracer.start_active_span(f"request {number}"):
            client.index("tweets", "tweet", {"user": "ann"}, id=number)
            client.get("tweets", number, doc_type="tweet")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(20)))
    found = [span for span in shapes(exporter.get_finished_spans()) if span["parent"] is not None]
    assert len(found) == 40
    assert all(span["name"].split("/")[-1] == span["parent"].split()[-1] for span in found)


@limited(
    "its requirements exclude every opentracing 2: install it with pip's --no-deps, or an override in uv; it works "
    "with 2.4"
)
def test_requirements_exclude_the_installed_opentracing() -> None:
    assert excludes_installed("elasticsearch-opentracing", "opentracing")


@limited(
    "a failed request in one place ends the tracing that enable_tracing() and set_active_span() have started in its "
    "thread, with any tracer: activate the span, and let all requests be traced"
)
@pytest.mark.parametrize("with_bridge", [True, False], ids=["bridge", "mocktracer"])
def test_failed_request_ends_the_tracing_of_its_thread(port: int, tracer: BridgeTracer, with_bridge: bool) -> None:
    chosen: Any = tracer if with_bridge else MockTracer()
    elasticsearch_opentracing.init_tracing(chosen)
    with connected(port) as client:
        elasticsearch_opentracing.set_active_span(chosen.start_span("job"))
        with pytest.raises(elasticsearch.NotFoundError):
            client.get("tweets", 9, doc_type="tweet")
        assert elasticsearch_opentracing.get_active_span() is None
