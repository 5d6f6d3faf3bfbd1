"""opentracing-utils: its decorator, and its hooks of Flask, Django, requests and SQLAlchemy."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import opentracing
import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ot_bridge
from compat.cells import cell, limited
from libraries.web import PARENT_ID, TRACE_ID, Downstream, at_once, downstream, incoming, shape, spans, wait_for, wsgi
from ot_bridge import BridgeTracer
from spans import as_dict

flask = pytest.importorskip("flask", reason="needs Flask: make compat")
sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy: make compat")
django = pytest.importorskip("django", reason="needs Django: make compat")
opentracing_utils = pytest.importorskip("opentracing_utils", reason="needs opentracing-utils: make compat")

pytestmark = cell(
    "libraries",
    "opentracing-utils",
    packages=("opentracing-utils", "flask", "django", "requests", "sqlalchemy", "setuptools"),
    counterpart="HTTP server and client, SQLite",
)


@pytest.fixture(autouse=True)
def installed(provider: TracerProvider) -> BridgeTracer:
    """Install the bridge: it uses the global tracer alone."""
    return ot_bridge.install(tracer_provider=provider)


@pytest.fixture
def following() -> Iterator[Downstream]:
    with downstream() as service:
        yield service


@pytest.fixture
def traced_requests(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", requests.adapters.HTTPAdapter.send)  # to put it back
    return opentracing_utils.trace_requests  # type: ignore[no-any-return]


@pytest.fixture
def traced_sqlalchemy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trace queries until the end of the test: the library cannot take its listeners back."""
    from opentracing_utils.libs import _sqlalchemy

    listeners: list[tuple[Any, str, Any]] = []

    def listens_for(target: Any, name: str) -> Callable[[Any], Any]:
        def listen(function: Any) -> Any:
            listeners.append((target, name, function))
            sqlalchemy.event.listen(target, name, function)
            return function

        return listen

    monkeypatch.setattr(_sqlalchemy, "listens_for", listens_for)
    yield opentracing_utils.trace_sqlalchemy
    for listener in listeners:
        sqlalchemy.event.remove(*listener)


# -- the decorator -----------------------------------------------------------------------------------------------------


def test_decorated_function_is_a_child_of_the_active_span(exporter: InMemorySpanExporter) -> None:
    @opentracing_utils.trace(component="shop", operation_name="price", tags={"team": "blue"}, pass_span=True)
    def calculate(**given: Any) -> None:
        span = opentracing_utils.extract_span_from_kwargs(**given)
        assert span is opentracing.tracer.active_span
        span.log_kv({"event": "calculated"})

    with opentracing.tracer.start_active_span("work"):
        calculate()
    found = spans(exporter, 2)
    work = as_dict(found["work"])
    assert shape(found["price"]) == {
        "name": "price",
        "kind": "INTERNAL",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {"component": "shop", "team": "blue"},
        "events": [{"name": "calculated", "attributes": {}}],
        "links": [],
    }


def test_span_is_found_in_arguments_and_in_the_callers_variables(exporter: InMemorySpanExporter) -> None:
    @opentracing_utils.trace()
    def by_argument() -> None: ...

    @opentracing_utils.trace()
    def by_variable() -> None: ...

    with opentracing.tracer.start_span("given") as given:
        by_argument(span=given)
    del given
    with opentracing.tracer.start_span("local") as local:  # the decorator looks for it up the stack
        by_variable()
    del local
    found = spans(exporter, 4)
    assert found["by_argument"].parent == found["given"].context
    assert found["by_variable"].parent == found["local"].context


def test_extractor_follows_from_and_skipping(exporter: InMemorySpanExporter) -> None:
    other = opentracing.tracer.start_span("other")
    other.finish()

    @opentracing_utils.trace(span_extractor=lambda: other, use_follows_from=True)
    def follows() -> None: ...

    @opentracing_utils.trace(ignore_parent_span=True)
    def fresh() -> None: ...

    @opentracing_utils.trace(skip_span=lambda: True)
    def skipped() -> None: ...

    for function in (follows, fresh, skipped):
        function()
    found = spans(exporter, 3)
    assert found["follows"].parent == found["other"].context
    assert found["fresh"].parent is None


def test_span_that_is_missing_in_arguments_is_started_with_a_warning(exporter: InMemorySpanExporter) -> None:
    opentracing_utils.extract_span_from_kwargs(x=1).finish()
    (span,) = exporter.get_finished_spans()
    assert [dict(event.attributes or {}) for event in span.events] == [
        {"opentracing_utils.warning": "Cannot find span in kwargs. Starting new span!"}
    ]


def test_exception_is_an_error_and_is_raised(exporter: InMemorySpanExporter) -> None:
    @opentracing_utils.trace()
    def breaks() -> None:
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        breaks()
    done = shape(spans(exporter, 1)["breaks"])
    assert (done["status"]["code"], done["events"][0]["attributes"]["exception.type"]) == ("ERROR", "ValueError")


# -- requests ----------------------------------------------------------------------------------------------------------


def test_request_is_one_client_span_and_carries_on(
    traced_requests: Callable[..., None], exporter: InMemorySpanExporter, following: Downstream
) -> None:
    traced_requests(default_tags={"team": "shop"})
    with opentracing.tracer.start_active_span("work") as scope:
        scope.span.set_baggage_item("tenant", "blue")
        answer = requests.get(f"{following.url}/orders?name=eve", timeout=20)
    found = spans(exporter, 2)
    work = as_dict(found["work"])
    assert answer.text == "blue"
    assert shape(found["http_send_get"]) == {
        "name": "http_send_get",
        "kind": "CLIENT",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "requests",
            "http.method": "GET",
            "http.status_code": 200,
            "http.url": f"{following.url}/orders?name=%3F",
            "peer.hostname": "127.0.0.1",
            "team": "shop",
            "timeout": 20,
        },
        "events": [],
        "links": [],
    }
    following.continues(found["http_send_get"])


def test_answer_that_is_not_ok_is_an_error_and_urls_can_be_ignored(
    traced_requests: Callable[..., None], exporter: InMemorySpanExporter, following: Downstream
) -> None:
    traced_requests(ignore_url_patterns=[r".*/health"])
    with trace.get_tracer("native").start_as_current_span("native"):
        requests.get(f"{following.url}/health", timeout=20)
        requests.get(f"{following.url}/500", timeout=20)
    found = spans(exporter, 2)
    called = shape(found["http_send_get"])
    assert (called["status"]["code"], called["attributes"]["http.status_code"]) == ("ERROR", 500)
    assert found["http_send_get"].parent == found["native"].context


# -- servers -----------------------------------------------------------------------------------------------------------


def test_flask_request_is_one_server_span_with_children_that_carry_on(
    traced_requests: Callable[..., None], exporter: InMemorySpanExporter, following: Downstream
) -> None:
    traced_requests()
    app = flask.Flask(__name__)
    opentracing_utils.trace_flask(app, default_tags={"team": "shop"}, mask_url_query=True, use_scope_manager=True)

    @opentracing_utils.trace()
    def work() -> str:
        return requests.get(following.url, timeout=20).text

    app.get("/orders", endpoint="orders")(work)
    with wsgi(app) as url:
        session = requests.Session()
        session.mount("http://", plain())
        answer = session.get(f"{url}/orders?name=eve", headers=incoming(), timeout=20)
    found = spans(exporter, 3)
    assert answer.text == "blue"
    assert shape(found["orders"]) == {
        "name": "orders",
        "kind": "SERVER",
        "trace_id": TRACE_ID,
        "parent_id": PARENT_ID,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "flask",
            "http.method": "GET",
            "http.url": f"{url}/orders?name=%3F",
            "http.status_code": 200,
            "team": "shop",
        },
        "events": [],
        "links": [],
    }
    assert found["work"].parent == found["orders"].context
    assert found["http_send_get"].parent == found["work"].context
    following.continues(found["http_send_get"])


def plain() -> Any:
    """Return an adapter of requests without the hook, for the client outside."""

    class Plain(requests.adapters.HTTPAdapter):
        send = SEND

    return Plain()


SEND = requests.adapters.HTTPAdapter.send


@pytest.mark.parametrize("use_scope_manager", [False, True], ids=["by request", "scope manager"])
def test_flask_requests_at_the_same_time_do_not_mix(use_scope_manager: bool, exporter: InMemorySpanExporter) -> None:
    app = flask.Flask(__name__)
    opentracing_utils.trace_flask(app, use_scope_manager=use_scope_manager)
    together = threading.Barrier(8)

    @app.get("/<number>")
    @opentracing_utils.trace(span_extractor=opentracing_utils.extract_span_from_flask_request, pass_span=True)
    def index(number: str, **given: Any) -> str:
        span = opentracing_utils.extract_span_from_kwargs(**given)
        span.set_operation_name(f"work {number}").set_tag("tenant", span.get_baggage_item("tenant"))
        together.wait(20)
        return number

    with wsgi(app) as url:
        traces = at_once(url, 8)
    wait_for(lambda: len(exporter.get_finished_spans()) == 16)
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    served = {span["span_id"]: span for span in found if span["name"] == "index"}
    work = {span["name"]: span for span in found if span["name"] != "index"}
    for number, trace_id in enumerate(traces):
        one = work[f"work {number}"]
        assert (one["trace_id"], one["attributes"]["tenant"]) == (trace_id, f"tenant-{number}")
        assert served[one["parent_id"]]["attributes"]["http.url"] == f"{url}/{number}"


def test_flask_handler_that_fails_is_an_error(exporter: InMemorySpanExporter) -> None:
    app = flask.Flask(__name__)
    app.logger.disabled = True
    opentracing_utils.trace_flask(app, use_scope_manager=True)

    @app.get("/")
    def breaks() -> str:
        raise ValueError("no such order")

    with wsgi(app) as url:
        assert requests.get(url, headers=incoming(), timeout=20).status_code == 500
    served = shape(spans(exporter, 1)["breaks"])
    assert (served["status"]["code"], served["attributes"]["http.status_code"]) == ("ERROR", 500)


@pytest.mark.parametrize("use_scope_manager", [False, True], ids=["by request", "scope manager"])
def test_django_request_is_one_server_span_also_when_the_view_fails(
    use_scope_manager: bool, exporter: InMemorySpanExporter
) -> None:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["127.0.0.1"], LOGGING_CONFIG=None, SECRET_KEY="for tests", USE_TZ=True)
        django.setup()

    @opentracing_utils.trace(span_extractor=opentracing_utils.extract_span_from_django_request)
    def work(request: Any) -> str:
        return str(request.current_span.get_baggage_item("tenant"))

    def orders(request: Any) -> HttpResponse:
        return HttpResponse(work(request))

    def breaks(request: Any) -> HttpResponse:
        raise ValueError("no such order")

    class Urls:
        urlpatterns = (path("orders", orders), path("breaks", breaks))

    with (
        override_settings(
            ROOT_URLCONF=Urls,
            MIDDLEWARE=[f"{__name__}.Middleware"],
            OPENTRACING_UTILS_USE_SCOPE_MANAGER=use_scope_manager,
        ),
        wsgi(WSGIHandler()) as url,
    ):
        assert requests.get(f"{url}/orders?name=eve", headers=incoming(), timeout=20).text == "blue"
        assert requests.get(f"{url}/breaks", headers=incoming(), timeout=20).status_code == 500
    found = spans(exporter, 3)
    assert shape(found["orders"]) == {
        "name": "orders",
        "kind": "SERVER",
        "trace_id": TRACE_ID,
        "parent_id": PARENT_ID,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "django",
            "http.method": "GET",
            "http.url": "/orders?name=%3F",
            "http.status_code": 200,
        },
        "events": [],
        "links": [],
    }
    assert found["work"].parent == found["orders"].context
    broken = shape(found["breaks"])
    assert (broken["status"]["code"], broken["attributes"]["http.status_code"]) == ("ERROR", 500)
    assert "raise ValueError" in str(broken["events"][0]["attributes"])


class Middleware(opentracing_utils.OpenTracingHttpMiddleware):  # type: ignore[misc]
    """What Django 5 and later want of the library's middleware."""

    def __init__(self, get_response: Any) -> None:
        from django.utils.deprecation import MiddlewareMixin

        MiddlewareMixin.__init__(self, get_response)
        super().__init__(get_response)


@limited(
    "from Django 5 its middleware fails every request, as it does not call MiddlewareMixin.__init__: name a subclass "
    "that does in MIDDLEWARE, see tests/libraries/test_opentracing_utils.py"
)
def test_django_middleware_without_a_subclass_fails_every_request() -> None:
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse

    assert settings.configured or settings.configure() is None
    middleware = opentracing_utils.OpenTracingHttpMiddleware(lambda request: HttpResponse("ok"))
    with pytest.raises(AttributeError, match="async_mode"):
        middleware(HttpRequest())


# -- SQLAlchemy --------------------------------------------------------------------------------------------------------


def test_query_is_a_child_and_so_is_one_that_fails(
    traced_sqlalchemy: Callable[..., None], exporter: InMemorySpanExporter
) -> None:
    traced_sqlalchemy(set_error_tag=True)
    engine = sqlalchemy.create_engine("sqlite://")
    with opentracing.tracer.start_active_span("work"), engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT 1 + 1")).scalar() == 2
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("DROP TABLE absent"))
    engine.dispose()
    found = spans(exporter, 3)
    work = as_dict(found["work"])
    assert shape(found["select"]) == {
        "name": "select",
        "kind": "INTERNAL",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "sqlalchemy",
            "db.type": "sql",
            "db.engine": "sqlite",
            "db.statement": "SELECT 1 + 1",
        },
        "events": [],
        "links": [],
    }
    failed = shape(found["drop"])
    assert (failed["parent_id"], failed["status"]["code"]) == (work["span_id"], "ERROR")
    assert failed["events"][0]["attributes"] == {"exception": "no such table: absent"}


# -- what it needs -----------------------------------------------------------------------------------------------------


@limited("it imports pkg_resources, which setuptools has until 81: setuptools<82 beside it")
def test_import_needs_pkg_resources() -> None:
    code = "import sys; sys.modules['pkg_resources'] = None; import opentracing_utils"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of pkg_resources")
